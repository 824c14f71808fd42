// The first step of a restored task.
#pragma once

#include <cstdint>

#include "sys/uapi.h"

namespace cryo::arch {

// clone3(2). The child, which has a copy of our memory, does not return: it jumps to `entry` with `slot` as its
// argument and uses no stack on the way. Returns the child's pid or -errno.
int64_t spawn_puppet(const sys::CloneArgs& args, uint64_t entry, uint64_t slot);

}  // namespace cryo::arch
