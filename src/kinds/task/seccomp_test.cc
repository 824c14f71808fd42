#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/text.h"

namespace cryo {
namespace {

// Answers calls of `nr` with `answer`, lets all others pass.
std::vector<sock_filter> filter_on(unsigned nr, uint32_t answer) {
  return {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, answer),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
}

constexpr const char* kNoResource =
    "without CAP_SYS_RESOURCE, CRIU cannot read the limits of another user";

bool install(std::vector<sock_filter> filter, unsigned long flags = 0) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0;
}

uint32_t fails_with(int error) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error); }

int error_of(long nr) { return syscall(nr, 0, 0, 0) == -1 ? errno : 0; }

CHECKPOINT_TEST(Seccomp, filters_without_privileges) {
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_TRUE(install(filter_on(SYS_getpgid, fails_with(77))));
  ASSERT_TRUE(install(filter_on(SYS_sched_get_priority_max, fails_with(78))));
  checkpoint();
  EXPECT_EQ(error_of(SYS_getpgid), 77);
  EXPECT_EQ(error_of(SYS_sched_get_priority_max), 78);
  EXPECT_EQ(prctl(PR_GET_SECCOMP), SECCOMP_MODE_FILTER);
}

// A filter and no no_new_privs: the program was root when it installed the filter, and is no more.
CHECKPOINT_TEST(Seccomp, filters_from_better_times, except({"we_restore_peers"}, kNoResource)) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_TRUE(install(filter_on(SYS_getpgid, fails_with(77)), SECCOMP_FILTER_FLAG_LOG));
  ASSERT_EQ(setresuid(1000, 1000, 1000), 0);
  checkpoint();
  EXPECT_EQ(error_of(SYS_getpgid), 77);
  EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

// Nothing of the dump or the restore may run into the filter, not even the last call.
CHECKPOINT_TEST(Seccomp, filter_that_allows_next_to_nothing,
                except({"peer_restores_ours"}, "CRIU runs into it")) {
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  for (const unsigned nr : std::initializer_list<unsigned>{
           SYS_munmap, SYS_rt_sigaction, SYS_futex_waitv, SYS_prctl, SYS_sched_yield,
           SYS_rt_sigpending, SYS_getresuid, SYS_close})
    ASSERT_TRUE(install(filter_on(nr, fails_with(EPERM))));
  checkpoint();
  EXPECT_EQ(error_of(SYS_getpgid), 0);
}

CHECKPOINT_TEST(Seccomp, chains_of_threads) {
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_TRUE(install(filter_on(SYS_getpgid, fails_with(70))));
  live::Gate go;
  live::Threads threads(4, [&](int index) {
    if (index > 0) {
      ASSERT_TRUE(install(filter_on(SYS_sched_get_priority_max, fails_with(80 + index % 2))));
    }
    go.wait();
    EXPECT_EQ(error_of(SYS_getpgid), 70);
    EXPECT_EQ(error_of(SYS_sched_get_priority_max), index > 0 ? 80 + index % 2 : 0);
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  EXPECT_EQ(error_of(SYS_getpgid), 70);
  EXPECT_EQ(error_of(SYS_sched_get_priority_max), 0);
  go.open();
  threads.join();
}

// Of equal actions that of the filter installed last counts, and the last one here allows no other one.
CHECKPOINT_TEST(Seccomp, order_of_filters) {
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_TRUE(install(filter_on(SYS_getpgid, fails_with(70))));
  ASSERT_TRUE(install(filter_on(SYS_getpgid, fails_with(71))));
  ASSERT_TRUE(install(filter_on(SYS_seccomp, fails_with(EACCES))));
  EXPECT_EQ(error_of(SYS_getpgid), 71);
  checkpoint();
  EXPECT_EQ(error_of(SYS_getpgid), 71);
  EXPECT_FALSE(install(filter_on(SYS_getpgid, fails_with(72))));
  EXPECT_EQ(errno, EACCES);
}

// It works only while the filters of all threads are the same objects.
CHECKPOINT_TEST(Seccomp, can_be_synchronised_later) {
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_TRUE(install(filter_on(SYS_getpgid, fails_with(70))));
  live::Gate go;
  live::Threads threads(3, [&](int) {
    go.wait();
    EXPECT_EQ(error_of(SYS_getpgid), 70);
    EXPECT_EQ(error_of(SYS_sched_get_priority_max), 71);
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  EXPECT_TRUE(
      install(filter_on(SYS_sched_get_priority_max, fails_with(71)), SECCOMP_FILTER_FLAG_TSYNC));
  go.open();
  threads.join();
}

CHECKPOINT_TEST(Seccomp, one_thread_in_strict_mode) {
  std::atomic<uint32_t> strict{0};
  std::atomic<pid_t> tid{0};
  // It only spins and exits: anything else would kill it.
  std::thread thread([&] {
    tid = gettid();
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    strict = 1;
    while (strict == 1)
      ;
    syscall(SYS_exit, 0);
  });
  while (strict == 0) sched_yield();
  checkpoint();
  const std::string status = live::read_text(fmt::format("/proc/self/task/{}/status", tid.load()));
  EXPECT_NE(status.find("Seccomp:\t1"), std::string::npos) << status;
  strict = 2;
  thread.join();
}

CHECKPOINT_TEST(Seccomp, supervised_filter, dump_refused("SECCOMP_RET_USER_NOTIF")) {
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_TRUE(install(filter_on(SYS_getpgid, SECCOMP_RET_USER_NOTIF)));
  checkpoint();
  EXPECT_EQ(error_of(SYS_getpgid), ENOSYS);
}

}  // namespace
}  // namespace cryo
