#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

void block_all() {
  sigset_t all;
  sigfillset(&all);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &all, nullptr), 0);
}
// The system call: the C library's function turns SI_TKILL into SI_USER.
siginfo_t take(int signal) {
  const uint64_t set = uint64_t{1} << (signal - 1);
  siginfo_t info{};
  const timespec now{0, 0};
  EXPECT_EQ(syscall(SYS_rt_sigtimedwait, &set, &info, &now, sizeof(set)), signal);
  return info;
}
bool none_pending() {
  sigset_t pending;
  sigpending(&pending);
  return sigisemptyset(&pending) == 1;
}

CHECKPOINT_TEST(PendingSignals, keep_order_and_values) {
  block_all();
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(sigqueue(getpid(), SIGRTMIN + 2 + i % 2, sigval{.sival_int = i}), 0);
  ASSERT_EQ(kill(getpid(), SIGUSR1), 0);
  checkpoint();
  for (int i = 0; i < 20; i += 2) EXPECT_EQ(take(SIGRTMIN + 2).si_value.sival_int, i);
  for (int i = 1; i < 20; i += 2) {
    const siginfo_t info = take(SIGRTMIN + 3);
    EXPECT_EQ(info.si_value.sival_int, i);
    EXPECT_EQ(info.si_code, SI_QUEUE);
    EXPECT_EQ(info.si_pid, getpid());
    EXPECT_EQ(info.si_uid, getuid());
  }
  EXPECT_EQ(take(SIGUSR1).si_code, SI_USER);
  EXPECT_TRUE(none_pending());
}

CHECKPOINT_TEST(PendingSignals, verbatim_siginfo) {
  block_all();
  siginfo_t sent{};
  sent.si_signo = SIGUSR2;
  sent.si_code = -77;
  for (size_t i = 16; i < 48; ++i)
    reinterpret_cast<unsigned char*>(&sent)[i] = static_cast<unsigned char>(i);
  ASSERT_EQ(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR2, &sent), 0);
  siginfo_t fault{};
  fault.si_signo = SIGSEGV;
  fault.si_code = SEGV_MAPERR;
  fault.si_addr = &fault;
  ASSERT_EQ(syscall(SYS_rt_sigqueueinfo, getpid(), SIGSEGV, &fault), 0);
  checkpoint();
  const siginfo_t got = take(SIGUSR2);
  EXPECT_EQ(got.si_code, -77);
  EXPECT_EQ(std::memcmp(got._sifields._pad, sent._sifields._pad, 16), 0);
  const siginfo_t got_fault = take(SIGSEGV);
  EXPECT_EQ(got_fault.si_code, SEGV_MAPERR);
  EXPECT_EQ(got_fault.si_addr, &fault);
}

CHECKPOINT_TEST(PendingSignals, of_each_thread) {
  block_all();
  live::Gate go;
  live::Threads threads(4, [&](int index) {
    go.wait();
    for (int i = 0; i <= index; ++i) EXPECT_EQ(take(SIGRTMIN + 1).si_code, SI_TKILL);
    EXPECT_TRUE(none_pending());
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  for (int index = 0; index < 4; ++index)
    for (int i = 0; i <= index; ++i)
      ASSERT_EQ(syscall(SYS_tgkill, getpid(), threads.tid(index), SIGRTMIN + 1), 0);
  ASSERT_EQ(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1), 0);
  checkpoint();
  EXPECT_EQ(take(SIGUSR1).si_code, SI_TKILL);
  go.open();
  threads.join();
}

CHECKPOINT_TEST(PendingSignals, stop_and_continue_signals_while_blocked) {
  block_all();
  ASSERT_EQ(kill(getpid(), SIGTSTP), 0);
  ASSERT_EQ(kill(getpid(), SIGTTIN), 0);
  checkpoint();
  take(SIGTSTP);
  take(SIGTTIN);
  EXPECT_TRUE(none_pending());
}

CHECKPOINT_TEST(PendingSignals, none_appear) {
  block_all();
  checkpoint();
  EXPECT_TRUE(none_pending());
}

}  // namespace
}  // namespace cryo
