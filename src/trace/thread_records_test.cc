#include "trace/thread_records.h"

#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <poll.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <functional>
#include <thread>

#include "sys/btf.h"

namespace cryo {
namespace {

// A child that is stopped while it makes the call; what the kernel keeps of it then.
ThreadRecord stopped_in(const std::function<void()>& call) {
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
  sys::KernelBtf btf;
  ThreadRecorder recorder(btf);
  Result<ThreadRecords> records = recorder.read(Pid{child});
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  if (!records) {
    ADD_FAILURE() << records.error().to_string();
    return {};
  }
  EXPECT_EQ(records->size(), 1U);
  EXPECT_EQ(records->begin()->first, child);
  return records->begin()->second;
}

uint64_t now_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

class ThreadRecordOfAChild : public testing::Test {
 protected:
  void SetUp() override {
    if (!sys::Btf::of_kernel()) GTEST_SKIP() << "the kernel does not describe its types";
  }
};

TEST_F(ThreadRecordOfAChild, Sleep) {
  const uint64_t begin = now_ns(CLOCK_MONOTONIC);
  const RestartBlock block = stopped_in([] {
                               const timespec hour{3600, 0};
                               clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, nullptr);
                             }).restart;
  EXPECT_EQ(block.wait, arch::TimedWait::nanosleep);
  EXPECT_EQ(block.clock, CLOCK_MONOTONIC);
  EXPECT_GE(block.until_ns, begin + 3600'000'000'000);
  EXPECT_LE(block.until_ns, now_ns(CLOCK_MONOTONIC) + 3600'000'000'000);
}

TEST_F(ThreadRecordOfAChild, SleepOnAnotherClock) {
  const RestartBlock block = stopped_in([] {
                               const timespec hour{3600, 0};
                               clock_nanosleep(CLOCK_BOOTTIME, 0, &hour, nullptr);
                             }).restart;
  EXPECT_EQ(block.clock, CLOCK_BOOTTIME);
  EXPECT_LE(block.until_ns, now_ns(CLOCK_BOOTTIME) + 3600'000'000'000);
}

TEST_F(ThreadRecordOfAChild, Poll) {
  const uint64_t begin = now_ns(CLOCK_MONOTONIC);
  const RestartBlock block = stopped_in([] { poll(nullptr, 0, 3'600'000); }).restart;
  EXPECT_EQ(block.wait, arch::TimedWait::poll);
  EXPECT_GE(block.until_ns, begin + 3600'000'000'000);
  EXPECT_LE(block.until_ns, now_ns(CLOCK_MONOTONIC) + 3601'000'000'000);
}

TEST_F(ThreadRecordOfAChild, Facts) {
  static char stack[65536];
  static int word = 0;
  const ThreadRecord record = stopped_in([] {
    const stack_t alternate{stack, 0, sizeof(stack)};
    sigaltstack(&alternate, nullptr);
    syscall(SYS_set_tid_address, &word);
    prctl(PR_SET_NAME, "a\nname");
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigprocmask(SIG_BLOCK, &blocked, nullptr);
    raise(SIGUSR2);
    poll(nullptr, 0, 3'600'000);
  });
  EXPECT_EQ(record.comm, "a\nname");
  EXPECT_EQ(record.pending, uint64_t{1} << (SIGUSR2 - 1));
  EXPECT_EQ(record.clear_child_tid, reinterpret_cast<uint64_t>(&word));
  EXPECT_EQ(record.signal_stack, reinterpret_cast<uint64_t>(stack));
  EXPECT_EQ(record.signal_stack_size, sizeof(stack));
  EXPECT_FALSE(record.has_children);
}

TEST_F(ThreadRecordOfAChild, Children) {
  const ThreadRecord record = stopped_in([] {
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != 1) pause();
      _exit(0);
    }
    poll(nullptr, 0, 3'600'000);
  });
  EXPECT_TRUE(record.has_children);
}

// One thread of this process that has made `change`, and one that has not.
bool are_alike(const std::function<void()>& change) {
  std::atomic<int32_t> first{0}, second{0};
  std::atomic<bool> end{false};
  const auto wait = [&] {
    while (!end) sched_yield();
  };
  std::thread changed([&] {
    change();
    first = gettid();
    wait();
    prctl(PR_SET_TSC, PR_TSC_ENABLE);  // a sanitizer looks at the time when a thread ends
  });
  std::thread plain([&] {
    second = gettid();
    wait();
  });
  while (first == 0 || second == 0) sched_yield();
  // They run, so that a flag that tells of that may differ in a look.
  bool alike = false;
  sys::KernelBtf btf;
  ThreadRecorder recorder(btf);
  for (int look = 0; look < 1000 && !alike; ++look) {
    Result<ThreadRecords> records = recorder.read(Pid{getpid()});
    if (records) alike = records->at(first).likeness == records->at(second).likeness;
  }
  end = true;
  changed.join();
  plain.join();
  return alike;
}

TEST_F(ThreadRecordOfAChild, LikenessOfThreads) {
  EXPECT_TRUE(are_alike([] {}));
  EXPECT_TRUE(are_alike([] { prctl(PR_SET_NAME, "other"); }));
  EXPECT_FALSE(are_alike([] { prctl(PR_SET_TIMERSLACK, 12345); }));
  EXPECT_FALSE(are_alike([] { prctl(PR_SET_PDEATHSIG, SIGUSR1); }));
  EXPECT_FALSE(are_alike([] { syscall(SYS_setresgid, -1, 1, -1); }));
  EXPECT_FALSE(are_alike([] { unshare(CLONE_FILES); }));
  EXPECT_FALSE(are_alike([] { unshare(CLONE_FS); }));
  EXPECT_FALSE(are_alike([] { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }));
  EXPECT_FALSE(are_alike([] { prctl(PR_SET_TSC, PR_TSC_SIGSEGV); }));
  EXPECT_FALSE(are_alike([] { personality(ADDR_NO_RANDOMIZE); }));
  EXPECT_FALSE(are_alike([] {
    const unsigned long nodes = 1;
    syscall(SYS_set_mempolicy, MPOL_PREFERRED, &nodes, 64);
  }));
}

}  // namespace
}  // namespace cryo
