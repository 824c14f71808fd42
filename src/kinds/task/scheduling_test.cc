#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/process.h"
#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

constexpr const char* kNotInTheFormat = "CRIU's format has no field for it";

CHECKPOINT_TEST(Scheduling, nice_value) {
  ASSERT_EQ(setpriority(PRIO_PROCESS, 0, 7), 0);
  checkpoint();
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 7);
}

CHECKPOINT_TEST(Scheduling, batch_and_reset_on_fork) {
  const sched_param none{};
  ASSERT_EQ(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none), 0);
  checkpoint();
  EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH | SCHED_RESET_ON_FORK);
}

CHECKPOINT_TEST(Scheduling, idle) {
  const sched_param none{};
  ASSERT_EQ(sched_setscheduler(0, SCHED_IDLE, &none), 0);
  checkpoint();
  EXPECT_EQ(sched_getscheduler(0), SCHED_IDLE);
}

// The nice value that a real-time thread falls back to.
CHECKPOINT_TEST(Scheduling, real_time_of_threads) {
  live::Gate go;
  live::Threads threads(3, [&](int index) {
    ASSERT_EQ(setpriority(PRIO_PROCESS, 0, index), 0);
    const sched_param param{.sched_priority = 1 + index};
    const int policy = index == 0 ? SCHED_FIFO : SCHED_RR;
    if (sched_setscheduler(0, policy, &param) != 0) GTEST_SKIP() << "no real-time priorities here";
    go.wait();
    sched_param after{};
    EXPECT_EQ(sched_getscheduler(0), policy);
    EXPECT_EQ(sched_getparam(0, &after), 0);
    EXPECT_EQ(after.sched_priority, 1 + index);
    EXPECT_EQ(getpriority(PRIO_PROCESS, 0), index);
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  go.open();
  threads.join();
}

CHECKPOINT_TEST(Scheduling, deadline,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat)) {
  sys::SchedAttr attributes;
  attributes.policy = 6;
  attributes.flags = 1;  // or it could not fork
  attributes.runtime = 2'000'000;
  attributes.deadline = 50'000'000;
  attributes.period = 100'000'000;
  if (!sys::sched_setattr(Tid{0}, attributes)) GTEST_SKIP() << "no deadline scheduling here";
  checkpoint();
  Result<sys::SchedAttr> after = sys::sched_getattr(Tid{0});
  ASSERT_TRUE(after);
  EXPECT_EQ(after->policy, 6U);
  EXPECT_EQ(after->runtime, attributes.runtime);
  EXPECT_EQ(after->deadline, attributes.deadline);
  EXPECT_EQ(after->period, attributes.period);
  EXPECT_EQ(after->flags, 1U);
}

// Since Linux 6.12.
CHECKPOINT_TEST(Scheduling, slice,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat)) {
  sys::SchedAttr attributes;
  attributes.runtime = 5'000'000;
  ASSERT_TRUE(sys::sched_setattr(Tid{0}, attributes));
  const uint64_t before = sys::sched_getattr(Tid{0})->runtime;
  checkpoint();
  EXPECT_EQ(sys::sched_getattr(Tid{0})->runtime, before);
}

CHECKPOINT_TEST(Scheduling, cpus_and_io_priority,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat)) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  int last = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &all)) last = cpu;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  constexpr int kBestEffort7 = 2 << 13 | 7;
  ASSERT_EQ(syscall(SYS_ioprio_set, 1, 0, kBestEffort7), 0);
  checkpoint();
  cpu_set_t after;
  ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&after, &one));
  EXPECT_EQ(syscall(SYS_ioprio_get, 1, 0), kBestEffort7);
}

}  // namespace
}  // namespace cryo
