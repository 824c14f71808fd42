// For bodies of live tests: how /proc describes their own memory.
#pragma once

#include <cstddef>

#include "procfs/vma.h"

namespace cryo {

// The mapping that contains `address`; a failure of the test and an empty one if there is none.
procfs::Vma own_mapping(const void* address);
constexpr size_t kTestPage = 4096;

}  // namespace cryo
