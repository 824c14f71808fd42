// Calls that sleep without a time limit, or until one on a clock of another kind: a checkpoint neither ends them nor
// makes them lose what they wait for.
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "sys/uapi.h"
#include "tests/harness/checkpoint_test.h"
#include "tests/harness/sleeper.h"

namespace cryo {
namespace {

using live::Sleeper;

double now(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

CHECKPOINT_TEST(SleepingCalls, read_of_a_pipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  char byte = 0;
  Sleeper sleeper(SYS_read, [&] { return read(ends[0], &byte, 1); });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  EXPECT_EQ(write(ends[1], "x", 1), 1);
  EXPECT_EQ(sleeper.result(), 1);
  EXPECT_EQ(byte, 'x');
}

CHECKPOINT_TEST(SleepingCalls, write_to_a_full_pipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
  std::vector<char> bytes(4096, 'y');
  ASSERT_EQ(write(ends[1], bytes.data(), bytes.size()), 4096);
  // Not more than PIPE_BUF: a larger write that has begun ends early at any stop.
  Sleeper sleeper(SYS_write, [&] { return write(ends[1], "the end", 7); });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  EXPECT_EQ(read(ends[0], bytes.data(), bytes.size()), 4096);
  EXPECT_EQ(sleeper.result(), 7);
  EXPECT_EQ(read(ends[0], bytes.data(), bytes.size()), 7);
  EXPECT_EQ(memcmp(bytes.data(), "the endyyyy", 11), 0);
}

CHECKPOINT_TEST(SleepingCalls, read_of_a_counter) {
  const int counter = eventfd(0, 0);
  uint64_t value = 0;
  Sleeper sleeper(SYS_read, [&] { return read(counter, &value, sizeof value); });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  const uint64_t three = 3;
  EXPECT_EQ(write(counter, &three, sizeof three), 8);
  EXPECT_EQ(sleeper.result(), 8);
  EXPECT_EQ(value, 3u);
}

CHECKPOINT_TEST(SleepingCalls, mutex_with_priority_inheritance) {
  std::atomic<uint32_t> word{static_cast<uint32_t>(gettid())};
  Sleeper sleeper(SYS_futex,
                  [&] { return syscall(SYS_futex, &word, FUTEX_LOCK_PI, 0, nullptr, nullptr, 0); });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  EXPECT_EQ(syscall(SYS_futex, &word, FUTEX_UNLOCK_PI, 0, nullptr, nullptr, 0), 0);
  EXPECT_EQ(sleeper.result(), 0);
  EXPECT_EQ(word & FUTEX_TID_MASK, static_cast<uint32_t>(sleeper.tid()));
}

CHECKPOINT_TEST(SleepingCalls, several_futexes_at_once) {
  struct Waiter {  // struct futex_waitv
    uint64_t value = 0, address = 0;
    uint32_t flags = 2, reserved = 0;  // FUTEX2_SIZE_U32
  };
  uint32_t words[2] = {1, 2};
  Waiter waiters[2];
  for (int i = 0; i < 2; ++i) {
    waiters[i].value = words[i];
    waiters[i].address = reinterpret_cast<uint64_t>(&words[i]);
  }
  Sleeper sleeper(SYS_futex_waitv,
                  [&] { return syscall(SYS_futex_waitv, waiters, 2, 0, nullptr, 0); });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  EXPECT_EQ(syscall(SYS_futex, &words[1], FUTEX_WAKE, 1, nullptr, nullptr, 0), 1);
  EXPECT_EQ(sleeper.result(), 1);
}

CHECKPOINT_TEST(SleepingCalls, lock_that_another_description_holds, dump_options({"--file-locks"}),
                restore_options({"--file-locks"})) {
  const int holder = open("file", O_RDWR | O_CREAT, 0600);
  const int other = open("file", O_RDWR);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  ASSERT_EQ(fcntl(holder, F_OFD_SETLK, &lock), 0);
  Sleeper sleeper(SYS_fcntl, [&] {
    struct flock mine {};
    mine.l_type = F_WRLCK;
    return fcntl(other, F_OFD_SETLKW, &mine);
  });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  EXPECT_FALSE(sleeper.done());
  lock.l_type = F_UNLCK;
  ASSERT_EQ(fcntl(holder, F_OFD_SETLK, &lock), 0);
  EXPECT_EQ(sleeper.result(), 0);
}

// --- clocks. A relative wait that CRIU's image cannot carry is not asked of the peer (see interrupted_calls_test.cc).

constexpr const char* kTimeLeft = "CRIU's image cannot say how much of the time is left";
constexpr double kLong = 1;

template <class Checkpoint>
void expect_whole_sleep(clockid_t clock, int flags, Checkpoint checkpoint) {
  timespec time{static_cast<time_t>(kLong), 0};
  const double begin = now(clock);
  if (flags == TIMER_ABSTIME) {
    clock_gettime(clock, &time);
    time.tv_sec += static_cast<time_t>(kLong);
  }
  timespec left{};
  Sleeper sleeper(SYS_clock_nanosleep,
                  [&] { return syscall(SYS_clock_nanosleep, clock, flags, &time, &left); });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  EXPECT_EQ(sleeper.result(), 0) << sleeper.error();
  EXPECT_GE(now(clock), begin + kLong - 0.01);
}

CHECKPOINT_TEST(SleepingCalls, until_a_wall_clock_time) {
  expect_whole_sleep(CLOCK_REALTIME, TIMER_ABSTIME, [this] { checkpoint(); });
}

CHECKPOINT_TEST(SleepingCalls, until_a_time_of_the_boot_clock) {
  expect_whole_sleep(CLOCK_BOOTTIME, TIMER_ABSTIME, [this] { checkpoint(); });
}

CHECKPOINT_TEST(SleepingCalls, for_a_time_of_the_boot_clock,
                except({"peer_restores_ours", "we_restore_peers"}, kTimeLeft)) {
  expect_whole_sleep(CLOCK_BOOTTIME, 0, [this] { checkpoint(); });
}

CHECKPOINT_TEST(SleepingCalls, for_a_time_of_the_atomic_clock,
                except({"peer_restores_ours", "we_restore_peers"}, kTimeLeft)) {
  expect_whole_sleep(CLOCK_TAI, 0, [this] { checkpoint(); });
}

// The clock begins anew in a restored process: a wait until a point of it would last too long.
CHECKPOINT_TEST(SleepingCalls, for_a_time_of_the_processor,
                except({"peer_restores_ours", "we_restore_peers"}, kTimeLeft)) {
  Sleeper sleeper(SYS_clock_nanosleep, [&] {
    const timespec time{0, 200'000'000};
    timespec left{};
    return syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &time, &left);
  });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  EXPECT_FALSE(sleeper.done());
  const double begin = now(CLOCK_PROCESS_CPUTIME_ID);
  while (!sleeper.done() && now(CLOCK_PROCESS_CPUTIME_ID) < begin + 5) {
  }
  ASSERT_TRUE(sleeper.done()) << "it slept on";
  EXPECT_EQ(sleeper.result(), 0) << sleeper.error();
}

}  // namespace
}  // namespace cryo
