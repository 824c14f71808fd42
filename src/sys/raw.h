// System calls by number, answered as the kernel answers: -errno on failure. For probing what the running
// kernel has; everything else has a typed wrapper.
#pragma once

#include <cstdint>

namespace cryo::sys {

int64_t raw_call(long number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0,
                 uint64_t e = 0, uint64_t f = 0);

inline uint64_t raw(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

}  // namespace cryo::sys
