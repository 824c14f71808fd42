#include "sys/futex.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "sys/call.h"

namespace cryo::sys {
namespace {

// The answers that are not failures.
std::optional<FutexWait> ordinary(int err) {
  if (err == EAGAIN) return FutexWait::changed;
  if (err == ETIMEDOUT) return FutexWait::timed_out;
  if (err == EINTR) return FutexWait::interrupted;
  return std::nullopt;
}

}  // namespace

Result<FutexWait> futex_wait(const uint32_t* word, uint32_t expected, const timespec* timeout,
                             int flags) {
  if (::syscall(SYS_futex, word, FUTEX_WAIT | flags, expected, timeout, nullptr, 0) == 0)
    return FutexWait::woken;
  const int err = errno;
  if (const std::optional<FutexWait> what = ordinary(err)) return *what;
  return Error::os(err, fmt::format("futex({}, FUTEX_WAIT, {})", fmt::ptr(word), expected));
}

Result<int> futex_wake(const uint32_t* word, int most, int flags) {
  return checked(
      static_cast<int>(::syscall(SYS_futex, word, FUTEX_WAKE | flags, most, nullptr, nullptr, 0)),
      [&] { return fmt::format("futex({}, FUTEX_WAKE, {})", fmt::ptr(word), most); });
}

Result<FutexWaitvResult> futex_waitv(std::span<const FutexWaiter> waiters, const timespec* deadline,
                                     clockid_t clock) {
  const long index = ::syscall(SYS_futex_waitv, waiters.data(),
                               static_cast<unsigned>(waiters.size()), 0U, deadline, clock);
  if (index >= 0) return FutexWaitvResult{FutexWait::woken, static_cast<int>(index)};
  const int err = errno;
  if (const std::optional<FutexWait> what = ordinary(err)) return FutexWaitvResult{*what, -1};
  return Error::os(err, fmt::format("futex_waitv({} waiters)", waiters.size()));
}

Result<void> set_robust_list(const void* head, size_t length) {
  return checked_void(::syscall(SYS_set_robust_list, head, length), [&] {
    return fmt::format("set_robust_list({}, {})", fmt::ptr(head), length);
  });
}

}  // namespace cryo::sys
