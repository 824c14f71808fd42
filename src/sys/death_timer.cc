#include "sys/death_timer.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <utility>

namespace cryo::sys {

// The system calls themselves: the C library's timer_create wants a thread for no reason of ours.
Result<DeathTimer> DeathTimer::arm(uint32_t seconds) {
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  int timer = -1;
  if (::syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0)
    return Error::os(errno, "timer_create(CLOCK_MONOTONIC, SIGKILL)");
  DeathTimer made(timer, seconds);
  made.feed();
  return made;
}

DeathTimer::DeathTimer(DeathTimer&& other) noexcept
    : timer_(std::exchange(other.timer_, -1)), seconds_(other.seconds_) {}

DeathTimer::~DeathTimer() {
  if (timer_ >= 0) (void)::syscall(SYS_timer_delete, timer_);
}

void DeathTimer::set(uint32_t seconds) const {
  const itimerspec when{{0, 0}, {static_cast<time_t>(seconds), 0}};
  (void)::syscall(SYS_timer_settime, timer_, 0, &when, nullptr);
}

void DeathTimer::feed() const { set(seconds_); }
void DeathTimer::pause() const { set(0); }

}  // namespace cryo::sys
