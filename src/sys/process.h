// Processes and threads: making, finding, waiting, signalling, scheduling.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "sys/path.h"
#include "sys/uapi.h"

namespace cryo::sys {

// What wait4 reports. The event is the number of a PTRACE_EVENT_* stop, 0 in every other stop.
class WaitStatus {
 public:
  WaitStatus() = default;
  constexpr explicit WaitStatus(int raw) : raw_(raw) {}
  static constexpr WaitStatus exit_with(int code) { return WaitStatus((code & 0xff) << 8); }
  static constexpr WaitStatus killed_by(int signal) { return WaitStatus(signal & 0x7f); }

  constexpr int raw() const { return raw_; }
  constexpr bool exited() const { return (raw_ & 0x7f) == 0; }
  constexpr int exit_code() const { return (raw_ >> 8) & 0xff; }
  // Neither 0 (exited) nor 0x7f (stopped, or 0xffff: continued) in the low bits.
  constexpr bool signalled() const { return (raw_ & 0x7f) != 0 && (raw_ & 0x7f) != 0x7f; }
  constexpr int term_signal() const { return raw_ & 0x7f; }
  constexpr bool dumped_core() const { return (raw_ & 0x80) != 0; }
  constexpr bool dead() const { return exited() || signalled(); }
  constexpr bool stopped() const { return (raw_ & 0xff) == 0x7f; }
  constexpr bool continued() const { return raw_ == 0xffff; }
  // With PTRACE_O_TRACESYSGOOD, SIGTRAP|0x80 in a syscall stop.
  constexpr int stop_signal() const { return (raw_ >> 8) & 0xff; }
  constexpr int event() const { return (raw_ >> 16) & 0xff; }
  constexpr bool syscall_stop() const {
    return stopped() && stop_signal() == (SIGTRAP | 0x80) && event() == 0;
  }
  constexpr bool signal_delivery_stop() const {
    return stopped() && event() == 0 && !syscall_stop();
  }
  std::string to_string()
      const;  // "exited with 3", "killed by signal 9", "stopped by event 128 (signal 5)"

  friend constexpr bool operator==(WaitStatus, WaitStatus) = default;

 private:
  int raw_ = 0;
};

struct Waited {
  Tid tid;
  WaitStatus status;
};
// `which` is wait4's first argument: -1 for any child. Nothing when WNOHANG is set and nobody
// changed. EINTR is an error of kind os: the caller knows which signals it waits for.
Result<std::optional<Waited>> wait4(int32_t which, int options);
Result<WaitStatus> wait_for(Tid tid, int options = __WALL);  // blocks; starts again after EINTR
// waitid; si_pid == 0 when WNOHANG is set and nobody changed. WNOWAIT leaves the state to be read
// again.
Result<siginfo_t> waitid(idtype_t type, uint32_t id, int options);

// --- making
// Returns in both processes, 0 in the child. Without a stack of its own, the child must not share
// this one's memory (no CLONE_VM): it would return into the parent's frames.
Result<int32_t> clone3(const CloneArgs& args);
Result<void> execveat(FdRef dir, PathRef path, char* const argv[], char* const envp[],
                      int flags = 0);
[[noreturn]] void exit_group(int code);
Result<void> unshare(uint64_t flags);
Result<void> setns(FdRef ns, uint64_t flags = 0);

// --- identity
Pid getpid();
Tid gettid();
Pid getppid();
Result<int32_t> getpgid(Pid pid);
Result<int32_t> getsid(Pid pid);
Result<void> setpgid(Pid pid, int32_t group);
Result<void> setsid();
uint32_t geteuid();

// --- pidfd
Result<Fd> pidfd_open(Pid pid, unsigned flags = 0);
Result<Fd> pidfd_getfd(FdRef pidfd, FdNo remote);
Result<void> pidfd_send_signal(FdRef pidfd, int signal, const siginfo_t* info = nullptr,
                               unsigned flags = 0);

// --- signals
Result<void> kill(Pid pid, int signal);
Result<void> tgkill(Pid pid, Tid tid, int signal);

// --- limits and scheduling
void sched_yield();
Result<struct rlimit64> get_rlimit(Pid pid, int resource);
Result<void> set_rlimit(Pid pid, int resource, const struct rlimit64& limit);
Result<SchedAttr> sched_getattr(Tid tid);
Result<void> sched_setattr(Tid tid, const SchedAttr& attributes);
// One bit per CPU, 64 to a word.
Result<std::vector<uint64_t>> sched_getaffinity(Tid tid);
Result<void> sched_setaffinity(Tid tid, std::span<const uint64_t> mask);
Result<int> get_nice(Tid tid);  // -20..19
Result<void> set_nice(Tid tid, int nice);
Result<int> ioprio_get(Tid tid);  // class and level as the kernel packs them
Result<void> ioprio_set(Tid tid, int value);

// --- other state
struct RobustList {
  uint64_t head = 0;
  uint64_t length = 0;
};
Result<RobustList> get_robust_list(Tid tid);
Result<int> prctl(int option, unsigned long a = 0, unsigned long b = 0, unsigned long c = 0,
                  unsigned long d = 0);
Result<unsigned> personality(unsigned long value);  // 0xffffffff only asks
// KCMP_*: 0 equal, 1 less, 2 greater, 3 different but unordered.
Result<int> kcmp(Tid a, Tid b, int type, uint64_t index_a = 0, uint64_t index_b = 0);

}  // namespace cryo::sys
