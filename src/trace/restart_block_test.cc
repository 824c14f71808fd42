#include "trace/restart_block.h"

#include <gtest/gtest.h>

#include <array>
#include <ctime>

namespace cryo {
namespace {

constexpr RestartBlockLayout kLayout{8, 40, 16, 32, 28, 32};
using Words = std::array<uint64_t, 7>;

RestartBlock decode(std::string_view function, const Words& words) {
  return decode_restart_block(function, std::as_bytes(std::span(words)), kLayout);
}

TEST(RestartBlock, TellsWaitsByTheirFunctions) {
  const RestartBlock sleep =
      decode("hrtimer_nanosleep_restart", {0, 0, CLOCK_BOOTTIME, 0, 12345, 0, 0});
  EXPECT_EQ(sleep.wait, arch::TimedWait::nanosleep);
  EXPECT_EQ(sleep.clock, CLOCK_BOOTTIME);
  EXPECT_EQ(sleep.until_ns, 12345U);
  const RestartBlock futex = decode("futex_wait_restart.constprop.0", {0, 0, 0, 0, 0, 255, 0});
  EXPECT_EQ(futex.wait, arch::TimedWait::futex);
  EXPECT_EQ(futex.until_ns, 255U);
  const RestartBlock poll = decode("do_restart_poll", {0, 0, 0, uint64_t{1} << 32 | 5, 2, 5, 0});
  EXPECT_EQ(poll.wait, arch::TimedWait::poll);
  EXPECT_EQ(poll.until_ns, 2'000'000'005U);
  EXPECT_EQ(decode("do_restart_poll", {0, 0, 0, 5, 2, 5, 0}).until_ns, 0U) << "has no time limit";
  const RestartBlock none = decode("do_no_restart_syscall", {1, 2, 3, 4, 5, 6, 7});
  EXPECT_EQ(none.wait, arch::TimedWait::none);
  EXPECT_EQ(none.until_ns, 0U);
}

TEST(RestartBlock, DoesNotReadBehindItsEnd) {
  const Words words{0, 0, 0, 0, 12345, 6, 7};
  const std::span<const std::byte> bytes = std::as_bytes(std::span(words));
  EXPECT_EQ(decode_restart_block("hrtimer_nanosleep_restart", bytes.first(36), kLayout).until_ns,
            0U);
}

}  // namespace
}  // namespace cryo
