// The system calls that the C library makes of older functions: newer architectures have only the more general calls.
#pragma once

#include <sys/syscall.h>

namespace cryo::live {

#ifdef SYS_poll
constexpr long kPoll = SYS_poll, kPause = SYS_pause, kEpollWait = SYS_epoll_wait;
#else
constexpr long kPoll = SYS_ppoll, kPause = SYS_ppoll, kEpollWait = SYS_epoll_pwait;
#endif

}  // namespace cryo::live
