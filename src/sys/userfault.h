// userfaultfd(2): memory of another task is filled from here, without page faults.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace cryo::sys {

// The first call on a descriptor: takes the interface without any optional feature.
Result<void> userfault_start(FdRef fd);
// From here on missing pages of the range are ours to bring. Fails if a mapping in it cannot be treated so.
Result<void> userfault_register(FdRef fd, uint64_t start, uint64_t size);
// Makes the pages of [to, to + size) with the contents of `from`. Fails if one is there already.
Result<void> userfault_copy(FdRef fd, uint64_t to, const void* from, uint64_t size);

}  // namespace cryo::sys
