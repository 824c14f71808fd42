#include "sys/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/ioprio.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/futex.h"
#include "sys/memory.h"
#include "sys/signal.h"

namespace cryo::sys {
namespace {

// A child that lives until it is killed; reaped when the test ends.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ == 0) {
      while (true) ::pause();
    }
  }
  ~Sleeper() {
    (void)kill(pid(), SIGKILL);
    (void)wait_for(tid());
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  Pid pid() const { return Pid{pid_}; }
  Tid tid() const { return Tid{pid_}; }

 private:
  int pid_;
};

TEST(SysWaitStatus, decodes_every_form) {
  struct Case {
    int raw;
    const char* text;
    bool exited, signalled, stopped, continued;
  };
  for (const Case& one : {
           Case{0x0000, "exited with 0", true, false, false, false},
           Case{0x0300, "exited with 3", true, false, false, false},
           Case{0xff00, "exited with 255", true, false, false, false},
           Case{0x0009, "killed by signal 9", false, true, false, false},
           Case{0x008b, "killed by signal 11 (core dumped)", false, true, false, false},
           Case{0x0040, "killed by signal 64", false, true, false, false},
           Case{0x137f, "stopped by signal 19", false, false, true, false},
           Case{0x857f, "stopped by signal 133", false, false, true, false},
           Case{0x80057f, "stopped by event 128 (signal 5)", false, false, true, false},
           Case{0x80137f, "stopped by event 128 (signal 19)", false, false, true, false},
           Case{0x6057f, "stopped by event 6 (signal 5)", false, false, true, false},
           Case{0xffff, "continued", false, false, false, true},
       }) {
    const WaitStatus status(one.raw);
    EXPECT_EQ(status.to_string(), one.text);
    EXPECT_EQ(status.exited(), one.exited) << one.text;
    EXPECT_EQ(status.signalled(), one.signalled) << one.text;
    EXPECT_EQ(status.stopped(), one.stopped) << one.text;
    EXPECT_EQ(status.continued(), one.continued) << one.text;
    EXPECT_EQ(status.dead(), one.exited || one.signalled) << one.text;
  }
}

TEST(SysWaitStatus, tells_ptrace_stops_apart) {
  EXPECT_TRUE(WaitStatus(0x857f).syscall_stop());
  EXPECT_FALSE(WaitStatus(0x857f).signal_delivery_stop());
  EXPECT_TRUE(WaitStatus(0x057f).signal_delivery_stop());
  EXPECT_FALSE(WaitStatus(0x80057f).signal_delivery_stop());
  EXPECT_EQ(WaitStatus(0x80057f).event(), 128);
  EXPECT_EQ(WaitStatus::exit_with(3), WaitStatus(0x300));
  EXPECT_EQ(WaitStatus::killed_by(9).term_signal(), 9);
}

TEST(SysProcess, waits_for_exit_and_for_kill) {
  const int pid = ::fork();
  if (pid == 0) exit_group(7);
  EXPECT_EQ(wait_for(Tid{pid}).value(), WaitStatus::exit_with(7));
  EXPECT_EQ(wait_for(Tid{pid}).error().code(), ECHILD);

  const int other = ::fork();
  if (other == 0) ::pause();
  EXPECT_EQ(wait4(other, WNOHANG).value().has_value(), false);
  EXPECT_EQ(waitid(P_PID, static_cast<uint32_t>(other), WEXITED | WNOHANG).value().si_pid, 0);
  ASSERT_TRUE(kill(Pid{other}, SIGKILL));
  EXPECT_EQ(waitid(P_PID, static_cast<uint32_t>(other), WEXITED | WNOWAIT).value().si_status,
            SIGKILL);
  EXPECT_EQ(wait_for(Tid{other}).value(), WaitStatus::killed_by(SIGKILL));
}

TEST(SysProcess, clone3_takes_the_wanted_pid) {
  if (geteuid() != 0) GTEST_SKIP() << "set_tid needs privilege";
  // The pid of a child that has just been reaped is free; somebody else may take it first.
  for (int attempt = 0; attempt < 20; ++attempt) {
    const int gone = ::fork();
    if (gone == 0) exit_group(0);
    ASSERT_TRUE(wait_for(Tid{gone}));
    const int32_t wanted = gone;
    CloneArgs args;
    args.exit_signal = SIGCHLD;
    args.set_tid = reinterpret_cast<uint64_t>(&wanted);
    args.set_tid_size = 1;
    const Result<int32_t> pid = clone3(args);
    if (pid && pid.value() == 0) exit_group(getpid().value == wanted ? 5 : 6);
    if (!pid) {
      ASSERT_EQ(pid.error().code(), EEXIST);
      EXPECT_NE(pid.error().message().find(fmt::format("set_tid {}", wanted)), std::string::npos);
      continue;
    }
    EXPECT_EQ(pid.value(), wanted);
    EXPECT_EQ(wait_for(Tid{wanted}).value(), WaitStatus::exit_with(5));
    return;
  }
  FAIL() << "no pid was free";
}

TEST(SysProcess, pidfd_signals_and_fetches_descriptors) {
  const Fd marker = memfd_create("marker").value();
  const Sleeper child;
  const Fd pidfd = pidfd_open(child.pid()).value();
  const Fd fetched = pidfd_getfd(pidfd, FdNo{marker.raw()}).value();
  EXPECT_EQ(kcmp(gettid(), gettid(), KCMP_FILE, static_cast<uint64_t>(marker.raw()),
                 static_cast<uint64_t>(fetched.raw()))
                .value(),
            0);
  EXPECT_EQ(pidfd_getfd(pidfd, FdNo{100000}).error().code(), EBADF);
  ASSERT_TRUE(pidfd_send_signal(pidfd, 0));
}

TEST(SysProcess, a_dead_process_is_gone) {
  const int pid = ::fork();
  if (pid == 0) exit_group(0);
  const Fd pidfd = pidfd_open(Pid{pid}).value();
  ASSERT_TRUE(wait_for(Tid{pid}));
  EXPECT_EQ(pidfd_send_signal(pidfd, SIGTERM).error().kind(), ErrorKind::gone);
  EXPECT_EQ(pidfd_getfd(pidfd, FdNo{0}).error().kind(), ErrorKind::gone);
}

TEST(SysProcess, limits_and_scheduling_come_back) {
  const Sleeper child;
  struct rlimit64 limit = get_rlimit(child.pid(), RLIMIT_NOFILE).value();
  limit.rlim_cur = 64;
  ASSERT_TRUE(set_rlimit(child.pid(), RLIMIT_NOFILE, limit));
  EXPECT_EQ(get_rlimit(child.pid(), RLIMIT_NOFILE).value().rlim_cur, 64U);

  ASSERT_TRUE(set_nice(child.tid(), 7));
  EXPECT_EQ(get_nice(child.tid()).value(), 7);
  SchedAttr attributes = sched_getattr(child.tid()).value();
  EXPECT_EQ(attributes.size, sizeof attributes);
  EXPECT_EQ(attributes.nice, 7);
  attributes.policy = SCHED_BATCH;
  attributes.nice = 9;
  ASSERT_TRUE(sched_setattr(child.tid(), attributes));
  EXPECT_EQ(sched_getattr(child.tid()).value().policy, static_cast<uint32_t>(SCHED_BATCH));
  EXPECT_EQ(get_nice(child.tid()).value(), 9);

  const std::vector<uint64_t> cpus = sched_getaffinity(child.tid()).value();
  ASSERT_NE(cpus[0], 0U);
  const uint64_t lowest = cpus[0] & (~cpus[0] + 1);
  ASSERT_TRUE(sched_setaffinity(child.tid(), std::vector<uint64_t>{lowest}));
  EXPECT_EQ(sched_getaffinity(child.tid()).value()[0], lowest);

  const int idle = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0);
  ASSERT_TRUE(ioprio_set(child.tid(), idle));
  EXPECT_EQ(ioprio_get(child.tid()).value(), idle);
}

TEST(SysProcess, nice_answers_the_whole_range) {
  if (geteuid() != 0) GTEST_SKIP() << "a lower nice value needs privilege";
  const Sleeper child;
  for (const int nice : {-20, -1, 0, 1, 19}) {
    ASSERT_TRUE(set_nice(child.tid(), nice));
    EXPECT_EQ(get_nice(child.tid()).value(), nice);
  }
}

TEST(SysProcess, prctl_and_robust_list) {
  EXPECT_EQ(prctl(PR_GET_DUMPABLE).value(), 1);
  EXPECT_FALSE(prctl(0x7fffffff));
  EXPECT_EQ(get_robust_list(gettid()).value().length, 24U);
  EXPECT_TRUE(personality(0xffffffff));
}

TEST(SysSignal, masks_hold_the_signals_that_libc_hides) {
  const SigSet before = rt_sigprocmask(SIG_BLOCK, sig_bit(32) | sig_bit(33) | sig_bit(64)).value();
  const SigSet blocked = signal_mask().value();
  ASSERT_TRUE(rt_sigprocmask(SIG_SETMASK, before));
  EXPECT_EQ(blocked, before | sig_bit(32) | sig_bit(33) | sig_bit(64));
}

TEST(SysSignal, queued_signals_keep_their_info) {
  const SigSet set = sig_bit(SIGRTMIN + 3);
  const SigSet before = rt_sigprocmask(SIG_BLOCK, set).value();
  siginfo_t info{};
  info.si_signo = SIGRTMIN + 3;
  info.si_code = SI_QUEUE;
  info.si_value.sival_ptr = &info;
  ASSERT_TRUE(rt_tgsigqueueinfo(getpid(), gettid(), SIGRTMIN + 3, info));
  EXPECT_EQ(rt_sigpending().value() & set, set);
  const std::optional<siginfo_t> got = rt_sigtimedwait(set).value();
  const timespec none{};
  const std::optional<siginfo_t> nothing = rt_sigtimedwait(set, &none).value();
  ASSERT_TRUE(rt_sigprocmask(SIG_SETMASK, before));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->si_code, SI_QUEUE);
  EXPECT_EQ(got->si_value.sival_ptr, &info);
  EXPECT_FALSE(nothing);
}

TEST(SysSignal, actions_come_back_whole) {
  KernelSigaction action;
  action.handler = 1;  // SIG_IGN
  action.mask = sig_bit(33);
  const KernelSigaction before = rt_sigaction(SIGRTMAX).value();
  ASSERT_TRUE(rt_sigaction(SIGRTMAX, action));
  const KernelSigaction now = rt_sigaction(SIGRTMAX).value();
  ASSERT_TRUE(rt_sigaction(SIGRTMAX, before));
  EXPECT_EQ(now.handler, 1U);
  EXPECT_EQ(now.mask, sig_bit(33));
  EXPECT_FALSE(rt_sigaction(SIGKILL, action));
}

TEST(SysFutex, ordinary_answers_are_no_errors) {
  uint32_t word = 5;
  const timespec moment{0, 1};
  EXPECT_EQ(futex_wait(&word, 4).value(), FutexWait::changed);
  EXPECT_EQ(futex_wait(&word, 5, &moment).value(), FutexWait::timed_out);
  EXPECT_EQ(futex_wake(&word).value(), 0);
  FutexWaiter waiter;
  waiter.value = 4;
  waiter.address = reinterpret_cast<uint64_t>(&word);
  EXPECT_EQ(futex_waitv({&waiter, 1}).value().what, FutexWait::changed);
  waiter.value = 5;
  EXPECT_EQ(futex_waitv({&waiter, 1}, &moment).value().what, FutexWait::timed_out);
  waiter.address = 1;
  EXPECT_FALSE(futex_waitv({&waiter, 1}));
}

TEST(SysMemory, reads_and_writes_another_process) {
  uint64_t word = 0x1122334455667788;
  const Sleeper child;
  const auto address = reinterpret_cast<uint64_t>(&word);
  word = 0;
  EXPECT_EQ(read_memory<uint64_t>(child.tid(), address).value(), 0x1122334455667788U);
  const uint64_t other = 42;
  ASSERT_TRUE(write_memory(child.tid(), address, &other, sizeof other));
  EXPECT_EQ(read_memory<uint64_t>(child.tid(), address).value(), 42U);
  EXPECT_EQ(word, 0U);
}

TEST(SysMemory, a_hole_is_an_error_after_the_part_before_it) {
  const size_t page = page_size();
  const Mapping memory =
      Mapping::make(2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS).value();
  ASSERT_TRUE(mprotect(memory.bytes() + page, page, PROT_NONE));
  std::string out(2 * page, '\0');
  const auto address = reinterpret_cast<uint64_t>(memory.address());
  EXPECT_TRUE(read_memory(gettid(), address, out.data(), page));
  EXPECT_EQ(read_memory(gettid(), address, out.data(), 2 * page).error().code(), EFAULT);
}

}  // namespace
}  // namespace cryo::sys
