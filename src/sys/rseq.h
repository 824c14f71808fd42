// The C library's own rseq registration of this thread (rseq(2), 4.18).
#pragma once

#include "base/result.h"

namespace cryo::sys {

// Ends it. A child that inherits the registration would die as soon as the kernel finds the memory gone.
Result<void> unregister_own_rseq();

}  // namespace cryo::sys
