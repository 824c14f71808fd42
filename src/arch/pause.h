// What a loop that waits for another CPU does between two looks.
#pragma once

namespace cryo {

void cpu_pause();

}  // namespace cryo
