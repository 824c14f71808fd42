#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

CHECKPOINT_TEST(Itimers, keep_value_and_interval) {
  const itimerval set{{7, 500000}, {1000, 250000}};
  ASSERT_EQ(signal(SIGVTALRM, SIG_IGN), SIG_DFL);
  for (const __itimer_which which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF})
    ASSERT_EQ(setitimer(which, &set, nullptr), 0);
  checkpoint();
  for (const __itimer_which which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    itimerval now{};
    ASSERT_EQ(getitimer(which, &now), 0);
    EXPECT_EQ(now.it_interval.tv_sec, 7);
    EXPECT_EQ(now.it_interval.tv_usec, 500000);
    EXPECT_LE(now.it_value.tv_sec, 1000);
    EXPECT_GE(now.it_value.tv_sec, 900);
  }
}

CHECKPOINT_TEST(Itimers, alarm_without_interval) {
  alarm(1000);
  checkpoint();
  const unsigned left = alarm(0);
  EXPECT_LE(left, 1000U);
  EXPECT_GE(left, 900U);
}

CHECKPOINT_TEST(Itimers, pending_alarm_goes_on) {
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  ASSERT_EQ(sigprocmask(SIG_BLOCK, &alarms, nullptr), 0);
  const itimerval set{{0, 1000}, {0, 1000}};
  ASSERT_EQ(setitimer(ITIMER_REAL, &set, nullptr), 0);
  sigset_t pending;
  do ASSERT_EQ(sigpending(&pending), 0);
  while (sigismember(&pending, SIGALRM) == 0);
  checkpoint();
  const timespec patience{10, 0};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(sigtimedwait(&alarms, nullptr, &patience), SIGALRM);
}

CHECKPOINT_TEST(Itimers, nothing_set_stays_so) {
  checkpoint();
  EXPECT_EQ(alarm(0), 0U);
}

}  // namespace
}  // namespace cryo
