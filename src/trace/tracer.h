// Tracer: the one user of ptrace and the only wait loop. All tracees belong to the thread that made it.
//
// Whether a task runs or is stopped is in its type: Running waits to become Stopped, Stopped resumes to become
// Running. A task that dies is Error::gone.
//
// While a Tracer lives every signal is blocked in the calling thread (raw mask: glibc would leave 32 and 33
// open), and SIGCHLD has its default action. SIGCHLD wakes the wait loop; SIGINT, SIGTERM and the like end it with an error, so that everything
// frozen is let go in order.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "arch/registers.h"
#include "base/ids.h"
#include "base/result.h"
#include "sys/process.h"
#include "sys/signal.h"

namespace cryo {

class Tracer;
class Stopped;

// A task that we trace and that may run.
class Running {
 public:
  Running(Tracer& tracer, Tid tid) : tracer_(&tracer), tid_(tid) {}
  Tid tid() const { return tid_; }
  Result<void> interrupt() const;
  // Until the stop that interrupt() asked for; signals that come first are delivered.
  Result<Stopped> wait_for_interrupt() &&;
  // Until it has ended; signals and stops are let pass. (Its parent can wait for it from then on.)
  Result<void> wait_for_end() const;
  // Lets a stop that nobody asked for pass (a SIGSTOP, which no mask blocks); errors when the task has died.
  Result<void> look_after() const;

 private:
  Tracer* tracer_;
  Tid tid_;
};

// A task of ours in a PTRACE_EVENT_STOP: the kernel will still decide how an interrupted call goes on.
class Stopped {
 public:
  Stopped(Tracer& tracer, Tid tid, int group_stop)
      : tracer_(&tracer), tid_(tid), group_stop_(group_stop) {}

  Tid tid() const { return tid_; }
  Tracer& tracer() const { return *tracer_; }
  // The signal that stopped the whole thread group before we came (SIGSTOP, SIGTSTP, ...), or 0.
  int group_stop_signal() const { return group_stop_; }

  Result<arch::Registers> registers() const;
  Result<void> set_registers(const arch::Registers& registers) const;
  Result<arch::ThreadState> thread_state() const;
  Result<void> set_thread_state(const arch::ThreadState& state) const;
  Result<sys::SigSet> signal_mask() const;
  Result<void> set_signal_mask(sys::SigSet mask) const;

  Result<Running> resume() &&;
  // Lets the task execute the one system call that its registers are set up for, and stops it again in an
  // EVENT_STOP right behind it. Returns the result of the call.
  Result<int64_t> execute_call() const;
  Result<void> detach() &&;

 private:
  Tracer* tracer_;
  Tid tid_;
  int group_stop_;
};

class Tracer {
 public:
  // Waits never last longer than until `deadline_ns` (CLOCK_MONOTONIC; 0: for ever).
  static Result<Tracer> create(uint64_t deadline_ns);
  Tracer(Tracer&& other) noexcept;
  Tracer& operator=(Tracer&&) = delete;
  ~Tracer();
  void set_deadline(uint64_t deadline_ns) { deadline_ns_ = deadline_ns; }
  // Whether wait() ends with an error when somebody wants us to end. Not while registers of a task are changed:
  // then only check_interrupted(), between the steps, says so.
  void set_interruptible(bool interruptible) { interruptible_ = interruptible; }
  // An error when SIGINT, SIGTERM, SIGHUP or SIGQUIT has come.
  Result<void> check_interrupted() const;

  // Attaches to every thread of `pid`, `options` being PTRACE_O_*, and stops them all; threads that appear
  // meanwhile included. The leader comes first. `proc` is /proc/PID.
  // Errors: denied (already traced, no permission), gone, os with ETIME (uninterruptible sleep).
  // After an error, nothing is attached any more.
  Result<std::vector<Stopped>> freeze(Pid pid, FdRef proc, unsigned options);
  // Attaches to a running task without stopping it.
  Result<Running> seize(Tid tid, unsigned options);

  // The next change of state of `tid`.
  Result<sys::WaitStatus> wait(Tid tid);
  // What has happened to `tid` meanwhile, without waiting. (A status of 0 is that of an end.)
  Result<std::optional<sys::WaitStatus>> poll(Tid tid);
  // The end of a leader is not told before that of every other thread of its process has been waited for: this does
  // it for those that freeze() has attached to. Their stops are left to be waited for.
  void reap_dead();

 private:
  Tracer(uint64_t deadline_ns, sys::SigSet old_mask, const sys::KernelSigaction& old_action)
      : deadline_ns_(deadline_ns), old_mask_(old_mask), old_action_(old_action) {}
  uint64_t deadline_ns_;
  sys::SigSet old_mask_;
  sys::KernelSigaction old_action_;
  bool interruptible_ = true;
  bool active_ = true;
  std::vector<Tid> attached_;  // but leaders
};

}  // namespace cryo
