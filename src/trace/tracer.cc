#include "trace/tracer.h"

#include <linux/elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <set>

#include "base/clock.h"
#include "base/kill_point.h"
#include "procfs/stat.h"
#include "sys/file.h"
#include "sys/ptrace.h"
#include "trace/yields.h"

namespace cryo {
namespace {

constexpr int kEventStop = 128;  // PTRACE_EVENT_STOP
constexpr int kYields = 20;
constexpr uint64_t kSecond = 1'000'000'000, kHour = 3600 * kSecond;
// Of a wait in which nothing happens, before it looks whether the process has ended: one call for each of its threads.
constexpr uint64_t kSlice = 20'000'000;

Error died(Tid tid, sys::WaitStatus how) {
  return Error::gone(fmt::format("task {} {}", tid, how.to_string()));
}

constexpr sys::SigSet kEnders =
    sys::sig_bit(SIGINT) | sys::sig_bit(SIGTERM) | sys::sig_bit(SIGHUP) | sys::sig_bit(SIGQUIT);

Error asked_to_end(int signal) {
  return Error::os(EINTR, fmt::format("cryo was asked to end by signal {}", signal));
}

bool stops_the_group(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

// "state D in the kernel's function x".
std::string what_it_does(Tid tid) {
  const std::string stat =
      sys::read_file(FdRef(AT_FDCWD), fmt::format("/proc/{}/stat", tid)).value_or("");
  const size_t state = stat.rfind(") ");
  const std::string function =
      sys::read_file(FdRef(AT_FDCWD), fmt::format("/proc/{}/wchan", tid)).value_or("");
  return fmt::format("state {} in the kernel's function {}",
                     state == std::string::npos ? '?' : stat[state + 2], function);
}

int signal_to_deliver(sys::WaitStatus status) {
  return status.signal_delivery_stop() ? status.stop_signal() : 0;
}

}  // namespace

Result<void> Running::interrupt() const {
  kill_point();
  TRY(sys::ptrace_interrupt(tid_));
  kill_point();
  return {};
}

Result<Stopped> Running::wait_for_interrupt() && {
  for (;;) {
    const sys::WaitStatus status = TRY(tracer_->wait(tid_));
    if (status.dead()) return died(tid_, status);
    if (status.event() == kEventStop)
      return Stopped(*tracer_, tid_,
                     stops_the_group(status.stop_signal()) ? status.stop_signal() : 0);
    // The interrupt stays requested while a signal is delivered first.
    TRY(sys::ptrace_cont(tid_, signal_to_deliver(status)));
  }
}

Result<void> Running::wait_for_end() const {
  for (;;) {
    const sys::WaitStatus status = TRY(tracer_->wait(tid_));
    if (status.dead()) return {};
    TRY(sys::ptrace_cont(tid_, signal_to_deliver(status)));
  }
}

Result<void> Running::look_after() const {
  TRY(tracer_->check_interrupted());
  tracer_->reap_dead();
  const std::optional<sys::WaitStatus> status = TRY(tracer_->poll(tid_));
  if (!status) return {};
  if (status->dead()) return died(tid_, *status);
  return sys::ptrace_cont(tid_, signal_to_deliver(*status));
}

Result<arch::Registers> Stopped::registers() const {
  arch::Registers registers;
  for (const arch::RegisterSet& set : arch::general_sets())
    TRY(sys::ptrace_getregset(tid_, set.note, registers.bytes().data() + set.offset, set.size));
  return registers;
}

Result<void> Stopped::set_registers(const arch::Registers& registers) const {
  kill_point();
  for (const arch::RegisterSet& set : arch::general_sets())
    TRY(sys::ptrace_setregset(tid_, set.note, registers.bytes().data() + set.offset, set.size));
  kill_point();
  return {};
}

Result<arch::ThreadState> Stopped::thread_state() const {
  arch::ThreadState state;
  state.general = TRY(registers());
  for (const arch::RegisterSet& set : arch::extended_sets()) {
    state.extended.resize(set.offset + set.size);
    Result<size_t> size =
        sys::ptrace_getregset(tid_, set.note, state.extended.data() + set.offset, set.size);
    if (!size && !set.optional) return std::move(size).error();
    state.extended.resize(set.offset + (size ? *size : 0));
    if (!size) break;
  }
  return state;
}

Result<void> Stopped::set_thread_state(const arch::ThreadState& state) const {
  for (const arch::RegisterSet& set : arch::extended_sets()) {
    if (set.offset >= state.extended.size()) break;
    const size_t size = std::min(set.size, state.extended.size() - set.offset);
    TRY(sys::ptrace_setregset(tid_, set.note, state.extended.data() + set.offset, size));
  }
  return set_registers(state.general);
}

Result<sys::SigSet> Stopped::signal_mask() const { return sys::ptrace_getsigmask(tid_); }

Result<void> Stopped::set_signal_mask(sys::SigSet mask) const {
  kill_point();
  TRY(sys::ptrace_setsigmask(tid_, mask));
  kill_point();
  return {};
}

Result<Running> Stopped::resume() && {
  kill_point();
  TRY(sys::ptrace_cont(tid_));
  kill_point();
  return Running(*tracer_, tid_);
}

Result<int64_t> Stopped::execute_call() const {
  // To the entry of the call; a SIGSTOP, which no mask blocks, is let through on the way.
  int deliver = 0;
  for (;;) {
    kill_point();
    TRY(sys::ptrace_syscall(tid_, deliver));
    kill_point();
    const sys::WaitStatus status = TRY(tracer_->wait(tid_));
    if (status.dead()) return died(tid_, status);
    if (status.syscall_stop()) break;
    deliver = signal_to_deliver(status);
  }
  // An interrupt that is requested now takes effect on the way back to user mode, behind the call: the task
  // ends in an EVENT_STOP, from which alone the kernel can be trusted with restarts.
  Running running(*tracer_, tid_);
  TRY(running.interrupt());
  kill_point();
  TRY(sys::ptrace_cont(tid_));
  kill_point();
  const Stopped stopped = TRY(std::move(running).wait_for_interrupt());
  const arch::Registers after = TRY(stopped.registers());
  return after.result();
}

Result<void> Stopped::detach() && {
  kill_point();
  TRY(sys::ptrace_detach(tid_));
  kill_point();
  return {};
}

Result<Tracer> Tracer::create(uint64_t deadline_ns) {
  const sys::SigSet old_mask = TRY(sys::rt_sigprocmask(SIG_SETMASK, sys::kAllSignals));
  // Whoever started us may ignore it: then no stop would be told, and the wait would last until the deadline.
  const sys::KernelSigaction old_action = TRY(sys::rt_sigaction(SIGCHLD));
  TRY(sys::rt_sigaction(SIGCHLD, {}));
  return Tracer(deadline_ns, old_mask, old_action);
}

Tracer::Tracer(Tracer&& other) noexcept
    : deadline_ns_(other.deadline_ns_),
      old_mask_(other.old_mask_),
      old_action_(other.old_action_),
      interruptible_(other.interruptible_),
      active_(std::exchange(other.active_, false)),
      attached_(std::move(other.attached_)) {}

Tracer::~Tracer() {
  if (!active_) return;
  (void)sys::rt_sigaction(SIGCHLD, old_action_);
  (void)sys::rt_sigprocmask(SIG_SETMASK, old_mask_);
}

Result<std::optional<sys::WaitStatus>> Tracer::poll(Tid tid) {
  Result<std::optional<sys::Waited>> waited = sys::wait4(tid.value, __WALL | WNOHANG);
  // A thread vanishes without a status when another one of its process calls execve.
  if (!waited && waited.error().code() == ECHILD)
    return Error::gone(fmt::format("task {} is gone", tid));
  if (!waited) return std::move(waited).error();
  return *waited ? std::optional((*waited)->status) : std::nullopt;
}

void Tracer::reap_dead() {
  // Stops of a traced thread are told whatever is asked for, so this only looks.
  constexpr int kLook = WEXITED | WNOHANG | WNOWAIT | __WALL;
  std::erase_if(attached_, [this](Tid tid) {
    const Result<siginfo_t> seen = sys::waitid(P_PID, static_cast<uint32_t>(tid.value), kLook);
    if (!seen) return true;  // waited for by somebody else of us
    const int code = seen.value().si_pid == 0 ? 0 : seen.value().si_code;
    if (code != CLD_EXITED && code != CLD_KILLED && code != CLD_DUMPED) return false;
    (void)poll(tid);
    return true;
  });
}

Result<sys::WaitStatus> Tracer::wait(Tid tid) {
  Yields yields;
  for (int turn = 0;; ++turn) {
    const std::optional<sys::WaitStatus> status = TRY(poll(tid));
    if (status) return *status;
    // Most stops are microseconds away, and a signal wakes late: to give way to the task first made a stop
    // take 6 us instead of 9, and on a loaded machine instead of 40.
    if (turn < kYields && yields.are_short()) {
      yields.yield();
      continue;
    }
    uint64_t left_ns = attached_.empty() ? kHour : kSlice;
    if (deadline_ns_ != 0) {
      const uint64_t now = monotonic_ns();
      if (now >= deadline_ns_)
        return Error::os(ETIME, fmt::format("task {} did not stop ({})", tid, what_it_does(tid)))
            .hint(
                "it is probably in an uninterruptible sleep (state D, see /proc/PID/stack); "
                "--timeout "
                "waits longer");
      left_ns = std::min(left_ns, deadline_ns_ - now);
    }
    const timespec left{static_cast<time_t>(left_ns / kSecond),
                        static_cast<long>(left_ns % kSecond)};
    const sys::SigSet wanted = sys::sig_bit(SIGCHLD) | (interruptible_ ? kEnders : 0);
    const std::optional<siginfo_t> signal = TRY(sys::rt_sigtimedwait(wanted, &left));
    if (signal && signal->si_signo != SIGCHLD) return asked_to_end(signal->si_signo);
    if (!signal) reap_dead();
  }
}

Result<void> Tracer::check_interrupted() const {
  const timespec now{};
  const std::optional<siginfo_t> signal = TRY(sys::rt_sigtimedwait(kEnders, &now));
  if (signal) return asked_to_end(signal->si_signo);
  return {};
}

Result<Running> Tracer::seize(Tid tid, unsigned options) {
  kill_point();
  TRY(sys::ptrace_seize(tid, options));
  kill_point();
  return Running(*this, tid);
}

namespace {

struct Attached {
  std::vector<Running> running;
  std::vector<Stopped> stopped;
};

// Between its end and the moment when nothing of it is left, a thread cannot be attached to; the kernel says EPERM.
bool is_ending(FdRef proc, int32_t tid) {
  const Result<std::string> text = sys::read_file(proc, fmt::format("task/{}/stat", tid));
  if (!text) return text.error().kind() == ErrorKind::gone || text.error().code() == ENOENT;
  const Result<procfs::TaskStat> stat = procfs::parse_stat(text.value());
  return stat && (stat.value().zombie() || stat.value().exiting());
}

Result<bool> attach_new_threads(Tracer& tracer, Pid pid, FdRef proc, unsigned options,
                                std::set<int32_t>& known, Attached& all, std::vector<Tid>& others) {
  const std::vector<int32_t> tids = TRY(sys::list_numbers(proc, "task"));
  for (const int32_t number : tids) {
    if (!known.insert(number).second) continue;
    Result<Running> running = tracer.seize(Tid{number}, options);
    if (!running) {
      // A thread that has ended since the directory was read is no loss; the leader is the process.
      const bool ended = running.error().kind() == ErrorKind::gone ||
                         (running.error().kind() == ErrorKind::denied && is_ending(proc, number));
      if (ended && number != pid.value) continue;
      if (ended) return Error::gone(fmt::format("process {} has ended", pid));
      return std::move(running).error().during(fmt::format("attaching to thread {}", number));
    }
    all.running.push_back(*running);
    if (number != pid.value) others.push_back(running->tid());
    TRY(running->interrupt());
  }
  return !all.running.empty();
}

Result<void> stop_attached(Pid pid, Attached& all) {
  while (!all.running.empty()) {
    Running running = all.running.back();
    const bool is_leader = running.tid().value == pid.value;
    Result<Stopped> stop = std::move(running).wait_for_interrupt();
    if (!stop && (stop.error().kind() != ErrorKind::gone || is_leader))
      return std::move(stop).error();
    all.running.pop_back();
    if (stop) all.stopped.push_back(*stop);
  }
  return {};
}

// A task that does not stop cannot be detached; the kernel does it when we end.
void let_go(Attached& all) {
  for (Running& running : all.running) (void)sys::ptrace_detach(running.tid());
  for (Stopped& stopped : all.stopped) (void)std::move(stopped).detach();
}

}  // namespace

Result<std::vector<Stopped>> Tracer::freeze(Pid pid, FdRef proc, unsigned options) {
  Attached all;
  std::set<int32_t> known;
  // A thread may have been made by one that was not stopped yet: look again until nothing new is there.
  for (;;) {
    Result<bool> found = attach_new_threads(*this, pid, proc, options, known, all, attached_);
    Result<void> stopped = found ? stop_attached(pid, all) : Result<void>();
    if (!found || !stopped) {
      let_go(all);
      return found ? std::move(stopped).error() : std::move(found).error();
    }
    if (!*found) break;
  }
  std::ranges::sort(all.stopped, {}, [pid](const Stopped& s) {
    return std::pair(s.tid().value != pid.value, s.tid().value);
  });
  return std::move(all.stopped);
}

}  // namespace cryo
