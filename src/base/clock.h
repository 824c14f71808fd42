// The clock that everything is measured with: CLOCK_MONOTONIC.
#pragma once

#include <cstdint>

namespace cryo {

uint64_t monotonic_ns();
uint64_t now_us();  // of the same clock

}  // namespace cryo
