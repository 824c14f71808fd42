#include "sys/epoll.h"

#include <linux/kcmp.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "sys/call.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cryo::sys {

namespace {
constexpr unsigned long kGetParams = _IOR(0x8A, 0x02, EpollParams);
}  // namespace

Result<Fd> epoll_create() {
  return checked_fd(::epoll_create1(EPOLL_CLOEXEC), [] { return "epoll_create1()"; });
}

Result<EpollParams> epoll_params(FdRef epoll) {
  EpollParams params;
  Result<int> got = ioctl(epoll, kGetParams, &params);
  if (got) return params;
  if (got.error().code() != ENOTTY && got.error().code() != EINVAL) return std::move(got).error();
  return EpollParams{};
}

Result<bool> epoll_target_is_open(Pid pid, FdNo epoll, int target, uint32_t nth) {
  const kcmp_epoll_slot slot{static_cast<uint32_t>(epoll.value), static_cast<uint32_t>(target),
                             nth};
  Result<int> order = kcmp(leader_of(pid), leader_of(pid), KCMP_EPOLL_TFD,
                           static_cast<uint64_t>(target), reinterpret_cast<uintptr_t>(&slot));
  if (!order && order.error().code() == EBADF) return false;
  if (!order) return std::move(order).error();
  return order.value() == 0;
}

}  // namespace cryo::sys
