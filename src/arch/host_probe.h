// What can only be asked in terms of one architecture.
#pragma once

namespace cryo::arch {

// Whether the kernel maps a vdso where it is told to.
bool can_map_vdso();

}  // namespace cryo::arch
