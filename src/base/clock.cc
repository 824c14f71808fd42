#include "base/clock.h"

#include <ctime>

namespace cryo {

uint64_t monotonic_ns() {
  timespec now{};
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t now_us() { return monotonic_ns() / 1000; }

}  // namespace cryo
