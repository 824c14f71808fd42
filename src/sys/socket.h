// Passing descriptors through Unix sockets: unix(7), SCM_RIGHTS.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace cryo::sys {

// Sends one byte that carries the description behind `fd`.
Result<void> send_fd(FdRef socket, FdRef fd);

}  // namespace cryo::sys
