// Giving way to a task that needs some microseconds, before sleeping until it wakes us.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "sys/process.h"

namespace cryo {

// On a busy machine whoever yields comes back only when all others have had their turn, milliseconds later, while whoever is
// woken comes next.
class Yields {
 public:
  void yield() {
    const uint64_t begin = monotonic_ns();
    sys::sched_yield();
    last_ns_ = monotonic_ns() - begin;
  }
  bool are_short() const { return last_ns_ < kLong; }

 private:
  static constexpr uint64_t kLong = 200'000;
  uint64_t last_ns_ = 0;
};

}  // namespace cryo
