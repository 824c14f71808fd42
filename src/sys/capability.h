// The capabilities of the calling thread.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace cryo::sys {

Result<uint64_t> effective_capabilities();  // bit N is capability N

}  // namespace cryo::sys
