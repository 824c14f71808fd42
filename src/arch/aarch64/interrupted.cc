// The kernel hides how a call was interrupted (see registers.cc), so there is nothing to take back.
#include "arch/interrupted.h"

namespace cryo::arch {

TimedWait timed_wait(uint64_t) { return TimedWait::none; }
std::optional<uint64_t> number_of(TimedWait) { return std::nullopt; }
bool fails_at_a_stop(uint64_t) { return false; }
std::optional<uint64_t> timed_wait_in_code(std::span<const std::byte>) { return std::nullopt; }

}  // namespace cryo::arch
