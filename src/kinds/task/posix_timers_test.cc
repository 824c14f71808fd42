#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/text.h"

namespace cryo {
namespace {

int create_raw(clockid_t clock, sigevent event, int* id) {
  return static_cast<int>(syscall(SYS_timer_create, clock, &event, id));
}
int set_raw(int id, const itimerspec& time) {
  return static_cast<int>(syscall(SYS_timer_settime, id, 0, &time, nullptr));
}
itimerspec get_raw(int id) {
  itimerspec time{};
  EXPECT_EQ(syscall(SYS_timer_gettime, id, &time), 0);
  return time;
}
sigevent event(int notify, int signal, int value) {
  sigevent e{};
  e.sigev_notify = notify;
  e.sigev_signo = signal;
  e.sigev_value.sival_int = value;
  return e;
}
sigset_t just(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  return set;
}

CHECKPOINT_TEST(PosixTimers, keep_ids_with_gaps) {
  int ids[6];
  for (int& id : ids)
    ASSERT_EQ(create_raw(CLOCK_MONOTONIC, event(SIGEV_SIGNAL, SIGUSR1, 5), &id), 0);
  for (const int gone : {0, 2, 3}) ASSERT_EQ(syscall(SYS_timer_delete, ids[gone]), 0);
  ASSERT_EQ(set_raw(ids[4], {{3, 5}, {500, 0}}), 0);
  checkpoint();
  for (const int gone : {0, 2, 3}) EXPECT_EQ(syscall(SYS_timer_delete, ids[gone]), -1);
  const itimerspec time = get_raw(ids[4]);
  EXPECT_EQ(time.it_interval.tv_sec, 3);
  EXPECT_EQ(time.it_interval.tv_nsec, 5);
  EXPECT_LE(time.it_value.tv_sec, 500);
  EXPECT_GE(time.it_value.tv_sec, 400);
  EXPECT_EQ(get_raw(ids[5]).it_value.tv_sec, 0);
  EXPECT_EQ(get_raw(ids[1]).it_value.tv_sec, 0);
}

CHECKPOINT_TEST(PosixTimers, of_every_clock) {
  const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
  int ids[4];
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(create_raw(clocks[i], event(SIGEV_SIGNAL, SIGUSR1, i), &ids[i]), 0);
    ASSERT_EQ(set_raw(ids[i], {{2, 0}, {1000, 0}}), 0);
  }
  const std::string before = live::read_text("/proc/self/timers");
  checkpoint();
  EXPECT_EQ(live::read_text("/proc/self/timers"), before);
  for (const int id : ids) {
    EXPECT_EQ(get_raw(id).it_interval.tv_sec, 2);
    EXPECT_LE(get_raw(id).it_value.tv_sec, 1000);
    EXPECT_GE(get_raw(id).it_value.tv_sec, 900);
  }
}

CHECKPOINT_TEST(PosixTimers, of_every_clock_expire,
                except({"we_restore_peers"}, "CRIU loses those that expire while it dumps"),
                proc_differs({"task/*/status/ShdPnd", "task/*/status/SigQ"},
                             "they may expire at once")) {
  const sigset_t set = just(SIGRTMIN + 3);
  ASSERT_EQ(sigprocmask(SIG_BLOCK, &set, nullptr), 0);
  for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI}) {
    int id = 0;
    ASSERT_EQ(create_raw(clock, event(SIGEV_SIGNAL, SIGRTMIN + 3, clock), &id), 0);
    ASSERT_EQ(set_raw(id, {{0, 0}, {0, 300'000'000}}), 0);
  }
  checkpoint();
  unsigned fired = 0;
  for (int i = 0; i < 4; ++i) {
    siginfo_t info{};
    const timespec patience{10, 0};
    ASSERT_EQ(sigtimedwait(&set, &info, &patience), SIGRTMIN + 3);
    EXPECT_EQ(info.si_code, SI_TIMER);
    fired |= 1U << info.si_value.sival_int;
  }
  EXPECT_EQ(fired,
            1U << CLOCK_REALTIME | 1U << CLOCK_MONOTONIC | 1U << CLOCK_BOOTTIME | 1U << CLOCK_TAI);
}

// Armed so long ago that it has missed seven periods, of which the first is still to be seen in its next one.
void miss_seven(clockid_t clock, sigevent event, int* id) {
  constexpr time_t kPeriod = 10'000;
  timespec now{};
  ASSERT_EQ(clock_gettime(clock, &now), 0);
  ASSERT_EQ(create_raw(clock, event, id), 0);
  const itimerspec time{{kPeriod, 0}, {now.tv_sec - 7 * kPeriod - kPeriod / 2, 0}};
  ASSERT_EQ(syscall(SYS_timer_settime, *id, TIMER_ABSTIME, &time, nullptr), 0);
  const sigset_t set = just(event.sigev_signo);
  siginfo_t info{};
  ASSERT_EQ(sigwaitinfo(&set, &info), event.sigev_signo);
  ASSERT_EQ(info.si_overrun, 7);
}
void expect_seven(int id) {
  EXPECT_EQ(syscall(SYS_timer_getoverrun, id), 7);
  EXPECT_EQ(get_raw(id).it_interval.tv_sec, 10'000);
  EXPECT_LE(get_raw(id).it_value.tv_sec, 5000);
  EXPECT_GE(get_raw(id).it_value.tv_sec, 4000);
}

CHECKPOINT_TEST(PosixTimers, know_their_overruns,
                except({"peer_restores_ours"}, "CRIU does not restore them")) {
  sigset_t set = just(SIGRTMIN + 2);
  sigaddset(&set, SIGUSR1);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
  int ids[2];
  miss_seven(CLOCK_REALTIME, event(SIGEV_SIGNAL, SIGUSR1, 1), &ids[0]);
  miss_seven(CLOCK_TAI, event(SIGEV_SIGNAL, SIGRTMIN + 2, 2), &ids[1]);
  // Not to be taken for the timer's.
  ASSERT_EQ(sigqueue(getpid(), SIGRTMIN + 2, {.sival_int = 99}), 0);
  checkpoint();
  for (const int id : ids) expect_seven(id);
  sigset_t pending;
  ASSERT_EQ(sigpending(&pending), 0);
  EXPECT_EQ(sigismember(&pending, SIGUSR1), 0);
  siginfo_t info{};
  const timespec at_once{};
  ASSERT_EQ(sigtimedwait(&set, &info, &at_once), SIGRTMIN + 2);
  EXPECT_EQ(info.si_value.sival_int, 99);
  EXPECT_EQ(sigtimedwait(&set, &info, &at_once), -1);
}

CHECKPOINT_TEST(PosixTimers, of_a_thread_know_their_overruns,
                except({"peer_restores_ours"}, "CRIU does not restore them")) {
  live::Gate made, go;
  int id = -1;
  const sigset_t set = just(SIGUSR2);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
  live::Threads threads(2, [&](int index) {
    if (index == 1) {
      sigevent to_me = event(SIGEV_THREAD_ID, SIGUSR2, 3);
      to_me._sigev_un._tid = gettid();
      miss_seven(CLOCK_REALTIME, to_me, &id);
      made.open();
    }
    go.wait();
  });
  made.wait();
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  expect_seven(id);
  go.open();
  threads.join();
}

CHECKPOINT_TEST(PosixTimers, of_cpu_clocks) {
  clockid_t own = 0, process = 0;
  ASSERT_EQ(pthread_getcpuclockid(pthread_self(), &own), 0);
  ASSERT_EQ(clock_getcpuclockid(0, &process), 0);
  const clockid_t clocks[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, own, process};
  int ids[4];
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(create_raw(clocks[i], event(SIGEV_SIGNAL, SIGUSR1, i), &ids[i]), 0);
    ASSERT_EQ(set_raw(ids[i], {{0, 0}, {1000, 0}}), 0);
  }
  checkpoint();
  for (const int id : ids) {
    EXPECT_LE(get_raw(id).it_value.tv_sec, 1000);
    EXPECT_GE(get_raw(id).it_value.tv_sec, 900);
  }
}

CHECKPOINT_TEST(PosixTimers, on_the_clock_of_the_thread_that_made_it,
                except({"peer_restores_ours", "we_restore_peers"},
                       "CRIU makes all timers in the leader")) {
  live::Gate made_gate, go;
  std::atomic<int> id{-1};
  live::Threads threads(3, [&](int index) {
    if (index == 1) {
      int made = 0;
      ASSERT_EQ(create_raw(CLOCK_THREAD_CPUTIME_ID, event(SIGEV_SIGNAL, SIGUSR1, 1), &made), 0);
      ASSERT_EQ(set_raw(made, {{0, 0}, {1000, 0}}), 0);
      id = made;
      made_gate.open();
    }
    go.wait();
    if (index != 1) return;
    const itimerspec before = get_raw(id), after = get_raw(id);
    EXPECT_NE(before.it_value.tv_nsec, after.it_value.tv_nsec);
  });
  made_gate.wait();
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  const itimerspec before = get_raw(id), after = get_raw(id);
  EXPECT_EQ(before.it_value.tv_nsec, after.it_value.tv_nsec);
  go.open();
  threads.join();
}

CHECKPOINT_TEST(PosixTimers, reach_their_thread) {
  live::Gate go;
  std::atomic<int> received{0};
  const sigset_t set = just(SIGRTMIN + 1);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
  live::Threads threads(2, [&](int index) {
    go.wait();
    const timespec patience{index == 1 ? 10 : 0, 0};
    if (sigtimedwait(&set, nullptr, &patience) == SIGRTMIN + 1) received += index == 1 ? 1 : 100;
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  sigevent to_thread = event(SIGEV_THREAD_ID, SIGRTMIN + 1, 0);
  to_thread._sigev_un._tid = threads.tid(1);
  int id = 0;
  ASSERT_EQ(create_raw(CLOCK_MONOTONIC, to_thread, &id), 0);
  ASSERT_EQ(set_raw(id, {{0, 0}, {1000, 0}}), 0);
  checkpoint();
  ASSERT_EQ(set_raw(id, {{0, 0}, {0, 1}}), 0);
  while (get_raw(id).it_value.tv_nsec != 0) sched_yield();
  go.open();
  threads.join();
  EXPECT_EQ(received, 1);
}

CHECKPOINT_TEST(PosixTimers, without_notification) {
  int id = 0;
  ASSERT_EQ(create_raw(CLOCK_MONOTONIC, event(SIGEV_NONE, 0, 0), &id), 0);
  ASSERT_EQ(set_raw(id, {{0, 0}, {300, 0}}), 0);
  checkpoint();
  EXPECT_GE(get_raw(id).it_value.tv_sec, 200);
}

}  // namespace
}  // namespace cryo
