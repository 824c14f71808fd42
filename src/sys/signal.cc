#include "sys/signal.h"

#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/call.h"

namespace cryo::sys {

Result<SigSet> rt_sigprocmask(int how, SigSet set) {
  SigSet old = 0;
  TRY(checked_void(::syscall(SYS_rt_sigprocmask, how, &set, &old, sizeof set),
                   [&] { return fmt::format("rt_sigprocmask({}, {:016x})", how, set); }));
  return old;
}

Result<SigSet> signal_mask() { return rt_sigprocmask(SIG_BLOCK, 0); }

Result<KernelSigaction> rt_sigaction(int signal) {
  KernelSigaction action;
  TRY(checked_void(::syscall(SYS_rt_sigaction, signal, nullptr, &action, sizeof action.mask),
                   [&] { return fmt::format("rt_sigaction({})", signal); }));
  return action;
}

Result<void> rt_sigaction(int signal, const KernelSigaction& action) {
  return checked_void(::syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof action.mask),
                      [&] {
                        return fmt::format("rt_sigaction({}, handler {:#x}, flags {:#x})", signal,
                                           action.handler, action.flags);
                      });
}

Result<SigSet> rt_sigpending() {
  SigSet set = 0;
  TRY(checked_void(::syscall(SYS_rt_sigpending, &set, sizeof set),
                   [] { return std::string("rt_sigpending()"); }));
  return set;
}

Result<std::optional<siginfo_t>> rt_sigtimedwait(SigSet set, const timespec* timeout) {
  siginfo_t info{};
  while (::syscall(SYS_rt_sigtimedwait, &set, &info, timeout, sizeof set) < 0) {
    const int err = errno;
    if (err == EAGAIN && timeout != nullptr) return std::optional<siginfo_t>();
    if (err == EINTR && timeout == nullptr) continue;
    return Error::os(err, fmt::format("rt_sigtimedwait({:016x})", set));
  }
  return std::optional<siginfo_t>(info);
}

Result<Fd> signalfd(SigSet set, int flags) {
  return checked_fd(
      static_cast<int>(::syscall(SYS_signalfd4, -1, &set, sizeof set, flags | SFD_CLOEXEC)),
      [&] { return fmt::format("signalfd4({:016x}, {:#o})", set, flags); });
}

Result<void> rt_sigqueueinfo(Pid pid, int signal, const siginfo_t& info) {
  return checked_void(::syscall(SYS_rt_sigqueueinfo, pid.value, signal, &info), [&] {
    return fmt::format("rt_sigqueueinfo({}, {}, si_code {})", pid, signal, info.si_code);
  });
}

Result<void> rt_tgsigqueueinfo(Pid pid, Tid tid, int signal, const siginfo_t& info) {
  return checked_void(::syscall(SYS_rt_tgsigqueueinfo, pid.value, tid.value, signal, &info), [&] {
    return fmt::format("rt_tgsigqueueinfo({}, {}, {}, si_code {})", pid, tid, signal, info.si_code);
  });
}

}  // namespace cryo::sys
