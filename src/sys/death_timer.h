// DeathTimer: kills this process unless it is fed in time.
//
// A POSIX timer whose signal is SIGKILL: unlike any watchdog of our own it needs no processor time of ours, and
// works also while we are stopped (SIGSTOP) or sleep in the kernel, as long as that sleep can be killed.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace cryo::sys {

class DeathTimer {
 public:
  // Armed from now on.
  static Result<DeathTimer> arm(uint32_t seconds);
  DeathTimer(DeathTimer&&) noexcept;
  DeathTimer& operator=(DeathTimer&&) = delete;
  ~DeathTimer();

  void feed() const;   // the time starts again
  void pause() const;  // no death until it is fed

 private:
  DeathTimer(int timer, uint32_t seconds) : timer_(timer), seconds_(seconds) {}
  void set(uint32_t seconds) const;
  int timer_;
  uint32_t seconds_;
};

}  // namespace cryo::sys
