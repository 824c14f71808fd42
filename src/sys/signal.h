// Signals as the kernel has them: 64-bit masks (bit N-1 is signal N), also of signals 32 and 33,
// which the C library hides.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"

namespace cryo::sys {

using SigSet = uint64_t;
constexpr int kSignals = 64;
constexpr SigSet kAllSignals = ~SigSet{0};
constexpr SigSet sig_bit(int signal) { return SigSet{1} << (signal - 1); }

// struct sigaction of the system call: the same on x86_64 and aarch64.
struct KernelSigaction {
  uint64_t handler = 0;
  uint64_t flags = 0;
  uint64_t restorer = 0;
  SigSet mask = 0;
};
static_assert(sizeof(KernelSigaction) == 32);
static_assert(sizeof(siginfo_t) == 128);

// Returns the mask from before. `how` is SIG_BLOCK, SIG_UNBLOCK or SIG_SETMASK.
Result<SigSet> rt_sigprocmask(int how, SigSet set);
Result<SigSet> signal_mask();
Result<KernelSigaction> rt_sigaction(int signal);
Result<void> rt_sigaction(int signal, const KernelSigaction& action);
Result<SigSet> rt_sigpending();
// The siginfo of one of `set`; nothing after the timeout. Starts again after EINTR only without
// timeout.
Result<std::optional<siginfo_t>> rt_sigtimedwait(SigSet set, const timespec* timeout = nullptr);
Result<Fd> signalfd(SigSet set, int flags = 0);
// si_code < 0 and not SI_TKILL, unless it goes to the caller itself.
Result<void> rt_sigqueueinfo(Pid pid, int signal, const siginfo_t& info);
Result<void> rt_tgsigqueueinfo(Pid pid, Tid tid, int signal, const siginfo_t& info);

}  // namespace cryo::sys
