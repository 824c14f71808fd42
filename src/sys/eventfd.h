// eventfd(2).
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace cryo::sys {

Result<Fd> eventfd(unsigned initial, int flags);  // close-on-exec

}  // namespace cryo::sys
