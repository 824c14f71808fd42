// A thread sleeps in one system call while the checkpoint happens. It must not fail with EINTR, not return too
// soon, and not begin its time from the start.
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "tests/harness/call_numbers.h"
#include "tests/harness/checkpoint_test.h"
#include "tests/harness/sleeper.h"

namespace cryo {
namespace {

using live::Sleeper;

double now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

constexpr timespec kFour{4, 0};
constexpr double kSlept = 2.5;
constexpr double kLeast = 3.9;  // from when it was seen asleep

// Checkpoints when the sleeper has slept 2.5 of its 4 seconds; it has to sleep the rest. The machine may be slow.
template <class Checkpoint>
void expect_the_rest(Sleeper& sleeper, Checkpoint checkpoint) {
  const double begin = now();
  ASSERT_TRUE(sleeper.asleep());
  while (now() < begin + kSlept) usleep(10000);
  checkpoint();
  const bool done = sleeper.done();
  const double after = now();
  EXPECT_FALSE(done && after < begin + kLeast);  // later it may be
  (void)sleeper.result();
  EXPECT_LT(now() - after, 3.5) << "it slept for the whole time again";
}

// CRIU's image has the registers only: it lets such a call fail with EINTR, ours begin again.
constexpr const char* kTimeLeft = "CRIU's image cannot say how much of the time is left";

#define PEER_VARIANTS \
  { "peer_restores_ours", "we_restore_peers" }

CHECKPOINT_TEST(InterruptedCalls, nanosleep_with_remainder, except(PEER_VARIANTS, kTimeLeft)) {
  timespec left{};
  Sleeper sleeper(SYS_nanosleep, [&] { return syscall(SYS_nanosleep, &kFour, &left); });
  expect_the_rest(sleeper, [this] { checkpoint(); });
  EXPECT_EQ(sleeper.result(), 0);
}

CHECKPOINT_TEST(InterruptedCalls, nanosleep, except(PEER_VARIANTS, kTimeLeft)) {
  Sleeper sleeper(SYS_clock_nanosleep, [] { return usleep(4'000'000); });
  expect_the_rest(sleeper, [this] { checkpoint(); });
  EXPECT_EQ(sleeper.result(), 0);
}

CHECKPOINT_TEST(InterruptedCalls, clock_nanosleep_until) {
  timespec until{};
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += 4;
  Sleeper sleeper(SYS_clock_nanosleep,
                  [&] { return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr); });
  expect_the_rest(sleeper, [this] { checkpoint(); });
  EXPECT_EQ(sleeper.result(), 0);
}

CHECKPOINT_TEST(InterruptedCalls, poll, except(PEER_VARIANTS, kTimeLeft)) {
  Sleeper sleeper(live::kPoll, [] { return ::poll(nullptr, 0, 4000); });
  expect_the_rest(sleeper, [this] { checkpoint(); });
  EXPECT_EQ(sleeper.result(), 0);
}

CHECKPOINT_TEST(InterruptedCalls, ppoll) {
  Sleeper sleeper(SYS_ppoll, [] { return ::ppoll(nullptr, 0, &kFour, nullptr); });
  expect_the_rest(sleeper, [this] { checkpoint(); });
  EXPECT_EQ(sleeper.result(), 0);
}

CHECKPOINT_TEST(InterruptedCalls, select) {
  Sleeper sleeper(SYS_pselect6, [] {
    timeval four{4, 0};
    return ::select(0, nullptr, nullptr, nullptr, &four);
  });
  expect_the_rest(sleeper, [this] { checkpoint(); });
  EXPECT_EQ(sleeper.result(), 0);
}

CHECKPOINT_TEST(InterruptedCalls, futex_with_time_limit, except(PEER_VARIANTS, kTimeLeft)) {
  int word = 5;
  Sleeper sleeper(SYS_futex,
                  [&] { return syscall(SYS_futex, &word, FUTEX_WAIT, 5, &kFour, nullptr, 0); });
  expect_the_rest(sleeper, [this] { checkpoint(); });
  EXPECT_EQ(sleeper.result(), -1);
  EXPECT_EQ(sleeper.error(), ETIMEDOUT);
}

// pthread_cond_timedwait, sem_timedwait: the limit is a point in time.
CHECKPOINT_TEST(InterruptedCalls, futex_until,
                except({"we_restore_peers"}, "CRIU lets it fail with EINTR")) {
  int word = 5;
  timespec until{};
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += 6;  // two checkpoints on a busy machine take a while
  Sleeper sleeper(SYS_futex, [&] {
    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 5, &until, nullptr, ~0U);
  });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  EXPECT_EQ(sleeper.result(), -1);
  EXPECT_EQ(sleeper.error(), ETIMEDOUT);
  EXPECT_GE(now(), static_cast<double>(until.tv_sec));
}

// The second checkpoint meets a wait that the kernel calls restart_syscall.
CHECKPOINT_TEST(InterruptedCalls, futex_until_twice_interrupted,
                except({"we_restore_peers"}, "CRIU lets it fail with EINTR")) {
  int word = 5;
  timespec until{};
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += 600;
  Sleeper sleeper(SYS_futex, [&] {
    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 5, &until, nullptr, ~0U);
  });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  checkpoint();
  EXPECT_FALSE(sleeper.done());
  // It may not have begun to wait again.
  while (!sleeper.done() && syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0) == 0)
    sched_yield();
  EXPECT_EQ(sleeper.result(), 0);
}

CHECKPOINT_TEST(InterruptedCalls, many_futexes_with_time_limit,
                except({"we_restore_peers"}, "CRIU lets it fail with EINTR")) {
  int word = 5;
  std::atomic<int> woken{0}, ended{0};
  live::Threads threads(150, [&](int) {
    const timespec hour{3600, 0};
    if (syscall(SYS_futex, &word, FUTEX_WAIT, 5, &hour, nullptr, 0) == 0) ++woken;
    ++ended;
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  for (int i = 0; i < 3; i++) checkpoint();
  EXPECT_EQ(ended, 0);
  while (ended < 150) {  // some may not have begun to wait again
    syscall(SYS_futex, &word, FUTEX_WAKE, 150, nullptr, nullptr, 0);
    sched_yield();
  }
  threads.join();
  EXPECT_EQ(woken, 150);
}

CHECKPOINT_TEST(InterruptedCalls, futex) {
  int word = 5;
  Sleeper sleeper(SYS_futex,
                  [&] { return syscall(SYS_futex, &word, FUTEX_WAIT, 5, nullptr, nullptr, 0); });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  EXPECT_EQ(syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0), 1);
  EXPECT_EQ(sleeper.result(), 0);
}

CHECKPOINT_TEST(InterruptedCalls, sigtimedwait,
                except({"we_restore_peers"}, "CRIU lets it fail with EINTR")) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  Sleeper sleeper(SYS_rt_sigtimedwait, [&] {
    const timespec minutes{600, 0};
    const uint64_t mask = uint64_t{1} << (SIGUSR1 - 1);
    return syscall(SYS_rt_sigtimedwait, &mask, nullptr, &minutes, 8);
  });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(sleeper.result(), SIGUSR1);
}

CHECKPOINT_TEST(InterruptedCalls, sigsuspend) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ASSERT_EQ(sigaction(SIGUSR2, &action, nullptr), 0);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  Sleeper sleeper(SYS_rt_sigsuspend, [] {
    sigset_t none;
    sigemptyset(&none);
    return ::sigsuspend(&none);
  });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  kill(getpid(), SIGUSR2);
  EXPECT_EQ(sleeper.result(), -1);
  EXPECT_EQ(sleeper.error(), EINTR);
}

// What waits for a handler gets its EINTR, also when the handler's signal is only just pending.
CHECKPOINT_TEST(InterruptedCalls, pause_ends_with_a_handler) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ASSERT_EQ(sigaction(SIGUSR2, &action, nullptr), 0);
  Sleeper sleeper(live::kPause, [] { return ::pause(); });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  ASSERT_EQ(syscall(SYS_tgkill, getpid(), sleeper.tid(), SIGUSR2), 0);
  EXPECT_EQ(sleeper.result(), -1);
  EXPECT_EQ(sleeper.error(), EINTR);
}

CHECKPOINT_TEST(InterruptedCalls, epoll_wait,
                except({"we_restore_peers"}, "CRIU lets it fail with EINTR")) {
  const int epoll = epoll_create1(0);
  const int counter = eventfd(0, 0);
  epoll_event watched{};
  watched.events = EPOLLIN;
  watched.data.u64 = 5;
  ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &watched), 0);
  Sleeper sleeper(live::kEpollWait, [&] {
    epoll_event event{};
    const int count = ::epoll_wait(epoll, &event, 1, 600'000);
    return count == 1 ? static_cast<long>(event.data.u64) : -1;
  });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  EXPECT_FALSE(sleeper.done());
  const uint64_t one = 1;
  EXPECT_EQ(write(counter, &one, sizeof one), 8);
  EXPECT_EQ(sleeper.result(), 5);
}

CHECKPOINT_TEST(InterruptedCalls, semtimedop,
                except({"restore", "restore_left", "twice", "peer_restores_ours",
                        "we_restore_peers"},
                       "semaphores live outside of the process")) {
  const int id = semget(IPC_PRIVATE, 1, 0600);
  Sleeper sleeper(SYS_semtimedop, [&] {
    sembuf down{0, -1, 0};
    const timespec minutes{600, 0};
    return ::semtimedop(id, &down, 1, &minutes);
  });
  ASSERT_TRUE(sleeper.asleep());
  checkpoint();
  ASSERT_TRUE(sleeper.asleep());
  sembuf up{0, 1, 0};
  EXPECT_EQ(semop(id, &up, 1), 0);
  EXPECT_EQ(sleeper.result(), 0);
  semctl(id, 0, IPC_RMID);
}

}  // namespace
}  // namespace cryo
