// epoll(7).
#pragma once

#include <sys/epoll.h>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"

namespace cryo::sys {

Result<Fd> epoll_create();  // close-on-exec

// struct epoll_params of linux/eventpoll.h (6.9): polling of network devices.
struct EpollParams {
  uint32_t busy_poll_usecs = 0;
  uint16_t busy_poll_budget = 0;
  uint8_t prefer_busy_poll = 0;
  uint8_t padding = 0;
  friend bool operator==(const EpollParams&, const EpollParams&) = default;
};
// All zero where the kernel does not know them.
Result<EpollParams> epoll_params(FdRef epoll);

// Whether what the instance `epoll` of a process watches as its `nth` file with the number `target` is what the
// process has open under that number.
Result<bool> epoll_target_is_open(Pid pid, FdNo epoll, int target, uint32_t nth);

}  // namespace cryo::sys
