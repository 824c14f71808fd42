#include "sys/ptrace.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/process.h"

namespace cryo::sys {
namespace {

// A traced child, stopped by PTRACE_INTERRUPT after it ran `prepare` and wrote a byte.
class Tracee {
 public:
  explicit Tracee(void (*prepare)()) {
    const Pipe ready = pipe2().value();
    pid_ = ::fork();
    if (pid_ == 0) {
      prepare();
      (void)write_value(ready.write, 'x');
      while (true) ::pause();
    }
    (void)read_value<char>(ready.read).value();
    ptrace_seize(tid(), PTRACE_O_TRACESYSGOOD).value();
    ptrace_interrupt(tid()).value();
    status_ = wait_for(tid()).value();
  }
  ~Tracee() {
    (void)kill(Pid{pid_}, SIGKILL);
    (void)wait_for(tid());
  }
  Tracee(const Tracee&) = delete;
  Tracee& operator=(const Tracee&) = delete;
  Tid tid() const { return Tid{pid_}; }
  WaitStatus status() const { return status_; }

 private:
  int pid_ = 0;
  WaitStatus status_;
};

TEST(SysPtrace, interrupt_gives_an_event_stop) {
  const Tracee task([] {});
  EXPECT_TRUE(task.status().stopped());
  EXPECT_EQ(task.status().event(), PTRACE_EVENT_STOP);
  EXPECT_EQ(task.status().stop_signal(), SIGTRAP);
  EXPECT_EQ(ptrace_getsiginfo(task.tid()).value().si_signo, SIGTRAP);
  ASSERT_TRUE(ptrace_detach(task.tid()));
  EXPECT_EQ(ptrace_cont(task.tid()).error().kind(), ErrorKind::gone);
}

TEST(SysPtrace, a_second_tracer_is_refused) {
  const Tracee task([] {});
  const Result<void> again = ptrace_seize(task.tid(), 0);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::denied);
  EXPECT_EQ(
      again.error().message(),
      fmt::format("ptrace(SEIZE, {}, 0x0, 0x0): Operation not permitted (EPERM)", task.tid()));
}

TEST(SysPtrace, register_sets_are_read_and_written_whole) {
  const Tracee task([] {});
  std::string registers(8192, '\0');
  const size_t size =
      ptrace_getregset(task.tid(), NT_PRSTATUS, registers.data(), registers.size()).value();
  EXPECT_GT(size, 100U);
  EXPECT_LT(size, 1000U);
  EXPECT_TRUE(ptrace_setregset(task.tid(), NT_PRSTATUS, registers.data(), size));
  EXPECT_FALSE(ptrace_getregset(task.tid(), 0x7777, registers.data(), registers.size()));
}

TEST(SysPtrace, signal_masks_are_the_kernel_s_own) {
  const Tracee task([] { (void)rt_sigprocmask(SIG_SETMASK, sig_bit(33) | sig_bit(10)); });
  EXPECT_EQ(ptrace_getsigmask(task.tid()).value(), sig_bit(33) | sig_bit(10));
  ASSERT_TRUE(ptrace_setsigmask(task.tid(), kAllSignals));
  EXPECT_EQ(ptrace_getsigmask(task.tid()).value(),
            kAllSignals & ~(sig_bit(SIGKILL) | sig_bit(SIGSTOP)));
}

TEST(SysPtrace, pending_signals_of_both_queues_in_any_number) {
  const Tracee task([] { (void)rt_sigprocmask(SIG_SETMASK, kAllSignals); });
  siginfo_t info{};
  info.si_signo = 40;
  info.si_code = SI_QUEUE;
  for (int i = 0; i < 100; ++i) {
    info.si_value.sival_int = i;
    ASSERT_TRUE(rt_sigqueueinfo(Pid{task.tid().value}, 40, info));
  }
  ASSERT_TRUE(tgkill(Pid{task.tid().value}, task.tid(), SIGUSR1));
  const std::vector<siginfo_t> shared = ptrace_pending_signals(task.tid(), true).value();
  ASSERT_EQ(shared.size(), 100U);
  EXPECT_EQ(shared[99].si_value.sival_int, 99);
  const std::vector<siginfo_t> own = ptrace_pending_signals(task.tid(), false).value();
  ASSERT_EQ(own.size(), 1U);
  EXPECT_EQ(own[0].si_code, SI_TKILL);
}

TEST(SysPtrace, seccomp_filters_are_read_back) {
  if (geteuid() != 0) GTEST_SKIP() << "reading filters needs CAP_SYS_ADMIN";
  const Tracee task([] {
    sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                             BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog filter{2, static_cast<sock_filter*>(program)};
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1);
    (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, reinterpret_cast<unsigned long>(&filter));
  });
  const std::optional<std::vector<sock_filter>> first =
      ptrace_seccomp_get_filter(task.tid(), 0).value();
  ASSERT_TRUE(first);
  ASSERT_EQ(first->size(), 2U);
  EXPECT_EQ(first->at(1).k, SECCOMP_RET_ALLOW);
  EXPECT_EQ(ptrace_seccomp_get_flags(task.tid(), 0).value(), 0U);
  EXPECT_FALSE(ptrace_seccomp_get_filter(task.tid(), 1).value());
}

TEST(SysPtrace, a_task_without_filters_has_none) {
  if (geteuid() != 0) GTEST_SKIP() << "reading filters needs CAP_SYS_ADMIN";
  const Tracee task([] {});
  EXPECT_FALSE(ptrace_seccomp_get_filter(task.tid(), 0).value());
}

TEST(SysPtrace, rseq_and_syscall_user_dispatch) {
  const Tracee task([] {});
  const RseqConfiguration rseq = ptrace_get_rseq_configuration(task.tid()).value();
  EXPECT_NE(rseq.abi_pointer, 0U) << "the C library registers one";
  const Result<SyscallUserDispatch> dispatch = ptrace_get_syscall_user_dispatch(task.tid());
  if (!dispatch) GTEST_SKIP() << dispatch.error().to_string();
  EXPECT_EQ(dispatch.value().mode, 0U);
}

TEST(SysPtrace, syscall_stops_say_which_call) {
  const Tracee task([] {});
  ASSERT_TRUE(ptrace_syscall(task.tid()));
  const WaitStatus status = wait_for(task.tid()).value();
  EXPECT_TRUE(status.syscall_stop()) << status.to_string();
  const ptrace_syscall_info info = ptrace_get_syscall_info(task.tid()).value();
  EXPECT_NE(info.op, PTRACE_SYSCALL_INFO_NONE);
  EXPECT_NE(info.instruction_pointer, 0U);
}

}  // namespace
}  // namespace cryo::sys
