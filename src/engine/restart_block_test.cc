#include "engine/restart_block.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <functional>

#include "sys/btf.h"

namespace cryo {
namespace {

constexpr RestartBlockLayout kLayout{24, 0, 16, 12, 16};

TEST(RestartBlock, ReadsALinePerThread) {
  Result<RestartBlocks> blocks = parse_restart_blocks(
      "7 hrtimer_nanosleep_restart 7 0 12345 0 0\n"
      "8 futex_wait_restart.constprop.0 0 0 0 ff 0\n"
      "9 do_restart_poll 0 100000001 2 5 0\n"
      "10 do_restart_poll 0 1 2 5 0\n"
      "11 do_no_restart_syscall 1 2 3 4 5\n",
      kLayout);
  ASSERT_TRUE(blocks) << blocks.error().to_string();
  ASSERT_EQ(blocks->size(), 5U);
  EXPECT_EQ(blocks->at(7).wait, arch::TimedWait::nanosleep);
  EXPECT_EQ(blocks->at(7).clock, CLOCK_BOOTTIME);
  EXPECT_EQ(blocks->at(7).until_ns, 0x12345U);
  EXPECT_EQ(blocks->at(8).wait, arch::TimedWait::futex);
  EXPECT_EQ(blocks->at(8).until_ns, 0xffU);
  EXPECT_EQ(blocks->at(9).wait, arch::TimedWait::poll);
  EXPECT_EQ(blocks->at(9).until_ns, 2'000'000'005U);
  EXPECT_EQ(blocks->at(10).until_ns, 0U) << "without a time limit";
  EXPECT_EQ(blocks->at(11).wait, arch::TimedWait::none);
  EXPECT_EQ(blocks->at(11).until_ns, 0U);
}

TEST(RestartBlock, RefusesOtherLines) {
  for (const char* text : {"7 f 1 2 3 4\n", "x f 1 2 3 4 5\n", "7\n", "7 f 1 2 3 4 z\n"})
    EXPECT_FALSE(parse_restart_blocks(text, kLayout)) << text;
}

// A child that is stopped while it makes the call; the block that it has then.
RestartBlock stopped_in(const std::function<void()>& call) {
  const pid_t child = fork();
  if (child == 0) {
    call();
    _exit(0);
  }
  const auto state = [&] {
    std::string path = "/proc/" + std::to_string(child) + "/stat";
    char text[512]{};
    FILE* file = fopen(path.c_str(), "re");
    const size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    const std::string_view view(text, n);
    return view[view.rfind(')') + 2];
  };
  while (state() != 'S') sched_yield();
  kill(child, SIGSTOP);
  int status = 0;
  waitpid(child, &status, WUNTRACED);
  Result<RestartBlocks> blocks = read_restart_blocks(Pid{child});
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  if (!blocks) {
    ADD_FAILURE() << blocks.error().to_string();
    return {};
  }
  EXPECT_EQ(blocks->size(), 1U);
  return blocks->begin()->second;
}

uint64_t now_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

class RestartBlockOfAChild : public testing::Test {
 protected:
  void SetUp() override {
    if (!sys::Btf::of_kernel()) GTEST_SKIP() << "the kernel does not describe its types";
  }
};

TEST_F(RestartBlockOfAChild, Sleep) {
  const uint64_t begin = now_ns(CLOCK_MONOTONIC);
  const RestartBlock block = stopped_in([] {
    const timespec hour{3600, 0};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, nullptr);
  });
  EXPECT_EQ(block.wait, arch::TimedWait::nanosleep);
  EXPECT_EQ(block.clock, CLOCK_MONOTONIC);
  EXPECT_GE(block.until_ns, begin + 3600'000'000'000);
  EXPECT_LE(block.until_ns, now_ns(CLOCK_MONOTONIC) + 3600'000'000'000);
}

TEST_F(RestartBlockOfAChild, SleepOnAnotherClock) {
  const RestartBlock block = stopped_in([] {
    const timespec hour{3600, 0};
    clock_nanosleep(CLOCK_BOOTTIME, 0, &hour, nullptr);
  });
  EXPECT_EQ(block.clock, CLOCK_BOOTTIME);
  EXPECT_LE(block.until_ns, now_ns(CLOCK_BOOTTIME) + 3600'000'000'000);
}

TEST_F(RestartBlockOfAChild, Poll) {
  const uint64_t begin = now_ns(CLOCK_MONOTONIC);
  const RestartBlock block = stopped_in([] { poll(nullptr, 0, 3'600'000); });
  EXPECT_EQ(block.wait, arch::TimedWait::poll);
  EXPECT_GE(block.until_ns, begin + 3600'000'000'000);
  EXPECT_LE(block.until_ns, now_ns(CLOCK_MONOTONIC) + 3601'000'000'000);
}

}  // namespace
}  // namespace cryo
