// Of threads and of processes: thread_attributes.cc, process_attributes.cc, surroundings.cc.
#include <fcntl.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "sys/uapi.h"
#include "tests/harness/checkpoint_test.h"
#include "tests/harness/text.h"

namespace cryo {
namespace {

constexpr const char* kNotInTheFormat = "CRIU's format has no field for it";
constexpr int kBindStatic = 2 | 1 << 15;  // MPOL_BIND | MPOL_F_STATIC_NODES

bool write_text(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY);
  const bool written =
      fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return written;
}

CHECKPOINT_TEST(Attributes, timer_slack_of_threads,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat)) {
  ASSERT_EQ(prctl(PR_SET_TIMERSLACK, 1234567), 0);
  live::Gate go;
  live::Threads threads(2, [&](int index) {
    prctl(PR_SET_TIMERSLACK, 1000 + index);
    go.wait();
    EXPECT_EQ(prctl(PR_GET_TIMERSLACK), 1000 + index);
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  EXPECT_EQ(prctl(PR_GET_TIMERSLACK), 1234567);
  go.open();
  threads.join();
}

CHECKPOINT_TEST(Attributes, machine_check_policy_and_time_stamp_counter,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat)) {
  ASSERT_EQ(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0), 0);
  live::Gate go;
  live::Threads threads(2, [&](int index) {
    ASSERT_EQ(prctl(PR_SET_TSC, index == 0 ? PR_TSC_SIGSEGV : PR_TSC_ENABLE), 0);
    go.wait();
    int tsc = 0;
    EXPECT_EQ(prctl(PR_GET_TSC, &tsc), 0);
    EXPECT_EQ(tsc, index == 0 ? PR_TSC_SIGSEGV : PR_TSC_ENABLE);
    EXPECT_EQ(prctl(PR_SET_TSC, PR_TSC_ENABLE), 0);
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  EXPECT_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
  go.open();
  threads.join();
}

CHECKPOINT_TEST(Attributes, personality,
                except({"we_restore_peers"},
                       "CRIU 4.2 takes the hexadecimal number of /proc for a decimal one"),
                except({"peer_restores_ours"}, "CRIU 4.2 does not set it")) {
  ASSERT_NE(personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC | UNAME26), -1);
  checkpoint();
  EXPECT_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC | UNAME26);
}

CHECKPOINT_TEST(Attributes, numa_policy_of_threads,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat)) {
  live::Gate go;
  live::Threads threads(2, [&](int index) {
    const uint64_t nodes = 1;
    if (index == 1) {
      ASSERT_EQ(syscall(SYS_set_mempolicy, kBindStatic, &nodes, 64), 0);
    }
    go.wait();
    int mode = -1;
    std::array<uint64_t, 16> mask{};
    ASSERT_EQ(syscall(SYS_get_mempolicy, &mode, mask.data(), 1024, 0, 0), 0);
    EXPECT_EQ(mode, index == 1 ? kBindStatic : 0);
    EXPECT_EQ(mask[0], index == 1 ? 1U : 0U);
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  go.open();
  threads.join();
}

CHECKPOINT_TEST(Attributes, child_subreaper) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  checkpoint();
  int reaper = 0;
  ASSERT_EQ(prctl(PR_GET_CHILD_SUBREAPER, &reaper), 0);
  EXPECT_EQ(reaper, 1);
}

CHECKPOINT_TEST(Attributes, oom_score_adj) {
  ASSERT_TRUE(write_text("/proc/self/oom_score_adj", "300"));
  checkpoint();
  EXPECT_EQ(live::read_text("/proc/self/oom_score_adj"), "300\n");
}

CHECKPOINT_TEST(Attributes, coredump_filter,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat)) {
  ASSERT_TRUE(write_text("/proc/self/coredump_filter", "0x7f"));
  checkpoint();
  EXPECT_EQ(live::read_text("/proc/self/coredump_filter"), "0000007f\n");
}

CHECKPOINT_TEST(Attributes, login_uid) {
  if (!write_text("/proc/self/loginuid", "1234")) GTEST_SKIP() << "no login uids here";
  checkpoint();
  EXPECT_EQ(live::read_text("/proc/self/loginuid"), "1234");
}

CHECKPOINT_TEST(Attributes, nice_value_of_the_autogroup,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat)) {
  if (!write_text("/proc/self/autogroup", "5")) GTEST_SKIP() << "no autogroups here";
  checkpoint();
  EXPECT_NE(live::read_text("/proc/self/autogroup").find("nice 5"), std::string::npos);
}

CHECKPOINT_TEST(Attributes, memory_deny_write_execute,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat)) {
  if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0)
    GTEST_SKIP() << "not in this kernel";
  checkpoint();
  EXPECT_EQ(prctl(PR_GET_MDWE, 0, 0, 0, 0), static_cast<int>(PR_MDWE_REFUSE_EXEC_GAIN));
  EXPECT_EQ(mmap(nullptr, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            MAP_FAILED);
}

CHECKPOINT_TEST(Attributes, merging_of_all_memory,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat),
                proc_differs({"smaps/"}, "the flag appears on mappings that were made before it")) {
  if (prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) != 0) GTEST_SKIP() << "not in this kernel";
  checkpoint();
  EXPECT_EQ(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 1);
}

CHECKPOINT_TEST(Attributes, not_dumpable) {
  ASSERT_EQ(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), 0);
  checkpoint();
  EXPECT_EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
}

// In force with a selector that lets all calls pass: the mode of a thread outside of foreign code.
CHECKPOINT_TEST(Attributes, system_call_dispatch,
                except({"peer_restores_ours", "we_restore_peers"}, kNotInTheFormat)) {
  static char selector = 0;  // SYSCALL_DISPATCH_FILTER_ALLOW
  static volatile int dispatched = 0;
  struct sigaction action {};
  action.sa_handler = [](int) {
    selector = 0;
    dispatched = dispatched + 1;
  };
  ASSERT_EQ(sigaction(SIGSYS, &action, nullptr), 0);
  ASSERT_EQ(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector), 0);
  checkpoint();
  EXPECT_EQ(dispatched, 0);
  selector = 1;  // SYSCALL_DISPATCH_FILTER_BLOCK
  (void)syscall(SYS_getpgid, 0);
  EXPECT_EQ(dispatched, 1);
}

// The parent that the restored process would have dies at once.
CHECKPOINT_TEST(Attributes, parent_death_signal_of_a_detached_root,
                except({"peer_restores_ours"}, "CRIU delivers it")) {
  ASSERT_EQ(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
  struct sigaction action {};
  action.sa_handler = [](int) { _exit(9); };
  ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
  checkpoint();
}

CHECKPOINT_TEST(Attributes, keyring_of_a_thread, dump_refused("has a thread keyring")) {
  ASSERT_GT(syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -1 /* KEY_SPEC_THREAD_KEYRING */, 1),
            0);
  checkpoint();
}

CHECKPOINT_TEST(Attributes, huge_pages_forbidden) {
  ASSERT_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
  checkpoint();
  EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
}

}  // namespace
}  // namespace cryo
