#include "sys/process.h"

#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/call.h"

namespace cryo::sys {

std::string WaitStatus::to_string() const {
  if (exited()) return fmt::format("exited with {}", exit_code());
  if (signalled())
    return fmt::format("killed by signal {}{}", term_signal(),
                       dumped_core() ? " (core dumped)" : "");
  if (continued()) return "continued";
  if (event() != 0) return fmt::format("stopped by event {} (signal {})", event(), stop_signal());
  return fmt::format("stopped by signal {}", stop_signal());
}

Result<std::optional<Waited>> wait4(int32_t which, int options) {
  int status = 0;
  const pid_t tid =
      TRY(checked(static_cast<pid_t>(::syscall(SYS_wait4, which, &status, options, nullptr)),
                  [&] { return fmt::format("wait4({}, {:#x})", which, options); }));
  if (tid == 0) return std::optional<Waited>();
  return std::optional<Waited>(Waited{Tid{tid}, WaitStatus(status)});
}

Result<WaitStatus> wait_for(Tid tid, int options) {
  while (true) {
    int status = 0;
    const long got = ::syscall(SYS_wait4, tid.value, &status, options, nullptr);
    if (got > 0) return WaitStatus(status);
    const int err = got == 0 ? EAGAIN : errno;
    if (err != EINTR) return Error::os(err, fmt::format("wait4({}, {:#x})", tid, options));
  }
}

Result<siginfo_t> waitid(idtype_t type, uint32_t id, int options) {
  siginfo_t info{};
  TRY(checked_void(::syscall(SYS_waitid, type, id, &info, options, nullptr), [&] {
    return fmt::format("waitid({}, {}, {:#x})", static_cast<int>(type), id, options);
  }));
  return info;
}

// --- making

Result<int32_t> clone3(const CloneArgs& args) {
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  return checked(static_cast<int32_t>(pid), [&] {
    const auto* set_tid = reinterpret_cast<const int32_t*>(args.set_tid);
    return fmt::format("clone3({:#x}, set_tid {})", args.flags,
                       args.set_tid_size > 0 ? *set_tid : 0);
  });
}

Result<void> execveat(FdRef dir, PathRef path, char* const argv[], char* const envp[], int flags) {
  return checked_void(::syscall(SYS_execveat, dir.raw(), path.c_str(), argv, envp, flags), [&] {
    return fmt::format("execveat({}, \"{}\", {:#x})", dir.raw(), path.c_str(), flags);
  });
}

void exit_group(int code) {
  while (true) ::syscall(SYS_exit_group, code);
}

Result<void> unshare(uint64_t flags) {
  return checked_void(::syscall(SYS_unshare, flags),
                      [&] { return fmt::format("unshare({:#x})", flags); });
}

Result<void> setns(FdRef ns, uint64_t flags) {
  return checked_void(::syscall(SYS_setns, ns.raw(), flags),
                      [&] { return fmt::format("setns({}, {:#x})", ns.raw(), flags); });
}

// --- identity

Pid getpid() { return Pid{static_cast<int32_t>(::syscall(SYS_getpid))}; }
Tid gettid() { return Tid{static_cast<int32_t>(::syscall(SYS_gettid))}; }
Pid getppid() { return Pid{static_cast<int32_t>(::syscall(SYS_getppid))}; }
uint32_t geteuid() { return ::geteuid(); }

Result<int32_t> getpgid(Pid pid) {
  return checked(::getpgid(pid.value), [&] { return fmt::format("getpgid({})", pid); });
}

Result<int32_t> getsid(Pid pid) {
  return checked(::getsid(pid.value), [&] { return fmt::format("getsid({})", pid); });
}

Result<void> setpgid(Pid pid, int32_t group) {
  return checked_void(::setpgid(pid.value, group),
                      [&] { return fmt::format("setpgid({}, {})", pid, group); });
}

Result<void> setsid() {
  return checked_void(::setsid(), [] { return std::string("setsid()"); });
}

// --- pidfd

Result<Fd> pidfd_open(Pid pid, unsigned flags) {
  return checked_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid.value, flags)),
                    [&] { return fmt::format("pidfd_open({}, {:#x})", pid, flags); });
}

Result<Fd> pidfd_getfd(FdRef pidfd, FdNo remote) {
  return checked_fd(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.raw(), remote.value, 0U)),
                    [&] { return fmt::format("pidfd_getfd({}, fd {})", pidfd.raw(), remote); });
}

Result<void> pidfd_send_signal(FdRef pidfd, int signal, const siginfo_t* info, unsigned flags) {
  return checked_void(::syscall(SYS_pidfd_send_signal, pidfd.raw(), signal, info, flags), [&] {
    return fmt::format("pidfd_send_signal({}, signal {}, {:#x})", pidfd.raw(), signal, flags);
  });
}

// --- signals

Result<void> kill(Pid pid, int signal) {
  return checked_void(::syscall(SYS_kill, pid.value, signal),
                      [&] { return fmt::format("kill({}, {})", pid, signal); });
}

Result<void> tgkill(Pid pid, Tid tid, int signal) {
  return checked_void(::syscall(SYS_tgkill, pid.value, tid.value, signal),
                      [&] { return fmt::format("tgkill({}, {}, {})", pid, tid, signal); });
}

// --- limits and scheduling

void sched_yield() { (void)::sched_yield(); }

Result<struct rlimit64> get_rlimit(Pid pid, int resource) {
  struct rlimit64 limit {};
  TRY(checked_void(::syscall(SYS_prlimit64, pid.value, resource, nullptr, &limit),
                   [&] { return fmt::format("prlimit64({}, {})", pid, resource); }));
  return limit;
}

Result<void> set_rlimit(Pid pid, int resource, const struct rlimit64& limit) {
  return checked_void(::syscall(SYS_prlimit64, pid.value, resource, &limit, nullptr), [&] {
    return fmt::format("prlimit64({}, {}, {}/{})", pid, resource, limit.rlim_cur, limit.rlim_max);
  });
}

Result<SchedAttr> sched_getattr(Tid tid) {
  SchedAttr attributes;
  TRY(checked_void(::syscall(SYS_sched_getattr, tid.value, &attributes, sizeof attributes, 0U),
                   [&] { return fmt::format("sched_getattr({})", tid); }));
  return attributes;
}

Result<void> sched_setattr(Tid tid, const SchedAttr& attributes) {
  return checked_void(::syscall(SYS_sched_setattr, tid.value, &attributes, 0U), [&] {
    return fmt::format("sched_setattr({}, policy {}, nice {}, priority {}, flags {:#x})", tid,
                       attributes.policy, attributes.nice, attributes.priority, attributes.flags);
  });
}

Result<std::vector<uint64_t>> sched_getaffinity(Tid tid) {
  // The call answers EINVAL when the mask is too small for the machine's possible CPUs.
  for (size_t words = 16;; words *= 2) {
    std::vector<uint64_t> mask(words);
    const long bytes = ::syscall(SYS_sched_getaffinity, tid.value, words * 8, mask.data());
    if (bytes >= 0) {
      mask.resize((static_cast<size_t>(bytes) + 7) / 8);
      return mask;
    }
    const int err = errno;
    if (err != EINVAL || words >= 4096)
      return Error::os(err, fmt::format("sched_getaffinity({}, {} bytes)", tid, words * 8));
  }
}

Result<void> sched_setaffinity(Tid tid, std::span<const uint64_t> mask) {
  return checked_void(::syscall(SYS_sched_setaffinity, tid.value, mask.size_bytes(), mask.data()),
                      [&] {
                        return fmt::format("sched_setaffinity({}, {} bytes, {:#x}...)", tid,
                                           mask.size_bytes(), mask.empty() ? 0 : mask[0]);
                      });
}

Result<int> get_nice(Tid tid) {
  // The raw call answers 20 - nice, so that no answer looks like an error.
  const long answer = TRY(checked(::syscall(SYS_getpriority, PRIO_PROCESS, tid.value),
                                  [&] { return fmt::format("getpriority({})", tid); }));
  return static_cast<int>(20 - answer);
}

Result<void> set_nice(Tid tid, int nice) {
  return checked_void(::syscall(SYS_setpriority, PRIO_PROCESS, tid.value, nice),
                      [&] { return fmt::format("setpriority({}, {})", tid, nice); });
}

namespace {
constexpr int kIoprioWhoProcess = 1;
}

Result<int> ioprio_get(Tid tid) {
  return checked(static_cast<int>(::syscall(SYS_ioprio_get, kIoprioWhoProcess, tid.value)),
                 [&] { return fmt::format("ioprio_get({})", tid); });
}

Result<void> ioprio_set(Tid tid, int value) {
  return checked_void(::syscall(SYS_ioprio_set, kIoprioWhoProcess, tid.value, value),
                      [&] { return fmt::format("ioprio_set({}, {:#x})", tid, value); });
}

// --- other state

Result<RobustList> get_robust_list(Tid tid) {
  RobustList list;
  TRY(checked_void(::syscall(SYS_get_robust_list, tid.value, &list.head, &list.length),
                   [&] { return fmt::format("get_robust_list({})", tid); }));
  return list;
}

Result<int> prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  return checked(static_cast<int>(::syscall(SYS_prctl, option, a, b, c, d)), [&] {
    return fmt::format("prctl({}, {:#x}, {:#x}, {:#x}, {:#x})", option, a, b, c, d);
  });
}

Result<unsigned> personality(unsigned long value) {
  const int old =
      TRY(checked(::personality(value), [&] { return fmt::format("personality({:#x})", value); }));
  return static_cast<unsigned>(old);
}

Result<int> kcmp(Tid a, Tid b, int type, uint64_t index_a, uint64_t index_b) {
  return checked(
      static_cast<int>(::syscall(SYS_kcmp, a.value, b.value, type, index_a, index_b)),
      [&] { return fmt::format("kcmp({}, {}, {}, {:#x}, {:#x})", a, b, type, index_a, index_b); });
}

}  // namespace cryo::sys
