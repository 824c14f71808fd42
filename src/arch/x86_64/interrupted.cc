#include "arch/interrupted.h"

#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

namespace cryo::arch {

TimedWait timed_wait(uint64_t nr) {
  switch (nr) {
    case SYS_nanosleep:
      return TimedWait::nanosleep;
    case SYS_clock_nanosleep:
      return TimedWait::clock_nanosleep;
    case SYS_futex:
      return TimedWait::futex;
    case SYS_poll:
      return TimedWait::poll;
    default:
      return TimedWait::none;
  }
}

std::optional<uint64_t> number_of(TimedWait wait) {
  for (const long nr : {SYS_nanosleep, SYS_clock_nanosleep, SYS_futex, SYS_poll})
    if (timed_wait(static_cast<uint64_t>(nr)) == wait) return static_cast<uint64_t>(nr);
  return std::nullopt;
}

bool fails_at_a_stop(uint64_t nr) {
  static constexpr uint64_t kCalls[] = {
      SYS_epoll_wait, SYS_epoll_pwait, 441 /* epoll_pwait2 */, SYS_semop, SYS_semtimedop,
      SYS_io_getevents, 333 /* io_pgetevents */, SYS_rt_sigtimedwait, 426 /* io_uring_enter */,
      // on sockets with a time limit
      SYS_read, SYS_readv, SYS_write, SYS_writev, SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg,
      SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_accept, SYS_accept4};
  return std::ranges::find(kCalls, nr) != std::end(kCalls);
}

std::optional<uint64_t> timed_wait_in_code(std::span<const std::byte> code) {
  constexpr std::byte kMovToEax{0xb8};
  for (size_t at = code.size() < 5 ? 0 : code.size() - 4; at-- > 0;) {
    if (code[at] != kMovToEax) continue;
    uint32_t nr = 0;
    std::memcpy(&nr, &code[at + 1], sizeof(nr));
    if (timed_wait(nr) != TimedWait::none) return nr;
  }
  return std::nullopt;
}

}  // namespace cryo::arch
