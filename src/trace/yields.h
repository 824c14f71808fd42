// Giving way to a task that needs some microseconds, before sleeping until it wakes us.
#pragma once

#include <cstdint>
#include <ctime>

#include "sys/process.h"

namespace cryo {

// On a busy machine whoever yields comes back only when all others have had their turn, milliseconds later, while whoever is
// woken comes next.
class Yields {
 public:
  void yield() {
    const uint64_t begin = now_ns();
    sys::sched_yield();
    last_ns_ = now_ns() - begin;
  }
  bool are_short() const { return last_ns_ < kLong; }

 private:
  static constexpr uint64_t kLong = 200'000;
  static uint64_t now_ns() {
    timespec now{};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(now.tv_nsec);
  }
  uint64_t last_ns_ = 0;
};

}  // namespace cryo
