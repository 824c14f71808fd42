#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

struct KernelAction {
  uint64_t handler = 0, flags = 0, restorer = 0, mask = 0;
  friend bool operator==(const KernelAction&, const KernelAction&) = default;
};

KernelAction action_of(int signal) {
  KernelAction action;
  EXPECT_EQ(syscall(SYS_rt_sigaction, signal, nullptr, &action, 8), 0);
  return action;
}

volatile sig_atomic_t value_seen = 0;
void note(int, siginfo_t* info, void*) { value_seen = info->si_value.sival_int; }

CHECKPOINT_TEST(SignalActions, with_every_flag_and_mask) {
  constexpr std::array kFlags = {SA_NOCLDSTOP,
                                 SA_NOCLDWAIT,
                                 SA_SIGINFO,
                                 SA_ONSTACK,
                                 SA_RESTART,
                                 SA_NODEFER,
                                 static_cast<int>(SA_RESETHAND)};
  for (size_t i = 0; i < kFlags.size(); ++i) {
    struct sigaction action {};
    action.sa_sigaction = note;
    action.sa_flags = kFlags[i] | SA_SIGINFO;
    sigaddset(&action.sa_mask, SIGRTMIN + static_cast<int>(i));
    sigaddset(&action.sa_mask, SIGTERM);
    ASSERT_EQ(sigaction(SIGRTMIN + 1 + static_cast<int>(i), &action, nullptr), 0);
  }
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  std::array<KernelAction, 65> before;
  for (int signal = 1; signal <= 64; ++signal)
    before[static_cast<size_t>(signal)] = action_of(signal);
  checkpoint();
  for (int signal = 1; signal <= 64; ++signal)
    EXPECT_EQ(action_of(signal), before[static_cast<size_t>(signal)]) << signal;
  sigval value{};
  value.sival_int = 42;
  ASSERT_EQ(sigqueue(getpid(), SIGRTMIN + 1, value), 0);
  EXPECT_EQ(value_seen, 42);
}

CHECKPOINT_TEST(SignalActions, stack_that_disarms_itself) {
  static char room[65536];
  stack_t stack{};
  stack.ss_sp = room;
  stack.ss_size = sizeof room;
  stack.ss_flags = static_cast<int>(1U << 31);  // SS_AUTODISARM
  ASSERT_EQ(sigaltstack(&stack, nullptr), 0);
  checkpoint();
  stack_t now{};
  ASSERT_EQ(sigaltstack(nullptr, &now), 0);
  EXPECT_EQ(now.ss_sp, room);
  EXPECT_EQ(now.ss_size, sizeof room);
  EXPECT_EQ(now.ss_flags, stack.ss_flags);
}

}  // namespace
}  // namespace cryo
