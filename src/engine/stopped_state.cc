#include "engine/stopped_state.h"

#include <sched.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <iterator>
#include <set>

#include "arch/interrupted.h"
#include "sys/file.h"
#include "sys/ptrace.h"

namespace cryo {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// struct rseq_cs of the user ABI.
struct CriticalSection {
  uint32_t version, flags;
  uint64_t start, length, abort;
};

template <class T>
std::optional<T> read_object(FdRef mem, uint64_t address) {
  T value{};
  if (!sys::pread_all(mem, &value, sizeof(value), address)) return std::nullopt;
  return value;
}

Result<void> abort_critical_section(FrozenThread& thread, FdRef mem) {
  constexpr uint64_t kPointer = 8;  // offset of rseq_cs in struct rseq
  Result<sys::RseqConfiguration> rseq = sys::ptrace_get_rseq_configuration(thread.task.tid());
  if (!rseq || rseq->abi_pointer == 0) return {};
  const std::optional<uint64_t> pointer = read_object<uint64_t>(mem, rseq->abi_pointer + kPointer);
  if (!pointer || *pointer == 0) return {};
  const std::optional<CriticalSection> section = read_object<CriticalSection>(mem, *pointer);
  arch::Registers& registers = thread.state.general;
  if (!section || registers.ip() - section->start >= section->length) return {};
  registers.set_ip(section->abort);
  // At once: if we die now, the thread must not go on in the middle of its section.
  return thread.task.set_registers(registers);
}

// Whether a handler is about to run, so that EINTR is what the program expects.
Result<bool> handler_is_due(Tid tid, const procfs::ProcTask& proc) {
  const std::string text = TRY(sys::read_file(proc.dir(), fmt::format("task/{}/status", tid)));
  const procfs::TaskStatus status = TRY(procfs::parse_status(text));
  return ((status.sig_pending | status.shd_pending) & status.sig_caught & ~status.sig_blocked) != 0;
}

std::optional<uint64_t> call_in_code(uint64_t ip, FdRef mem) {
  std::array<std::byte, 24> code{};
  const uint64_t end = ip - arch::syscall_instruction().size();
  if (!sys::pread_all(mem, code.data(), code.size(), end - code.size())) return std::nullopt;
  return arch::timed_wait_in_code(code);
}

// The remaining time that the kernel has written for the program, if that wanted to know it.
std::optional<uint64_t> told_to_program(const arch::Registers& registers, uint64_t nr, FdRef mem) {
  uint64_t address = 0;
  if (arch::timed_wait(nr) == arch::TimedWait::nanosleep) address = registers.argument(1);
  if (arch::timed_wait(nr) == arch::TimedWait::clock_nanosleep) address = registers.argument(3);
  if (address == 0) return std::nullopt;
  const std::optional<timespec> time = read_object<timespec>(mem, address);
  if (!time || time->tv_sec < 0 || time->tv_sec > INT32_MAX || time->tv_nsec < 0 ||
      static_cast<uint64_t>(time->tv_nsec) >= kSecond)
    return std::nullopt;
  return static_cast<uint64_t>(time->tv_sec) * kSecond + static_cast<uint64_t>(time->tv_nsec);
}

// When the sleepers of the machine want to be woken: /proc/timer_list, the clocks that count as CLOCK_MONOTONIC.
Result<std::set<uint64_t>> wake_up_times(FdRef proc_root) {
  const std::string text = TRY(sys::read_file(proc_root, "timer_list"));
  std::set<uint64_t> times;
  bool monotonic = false, sleeper = false;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line(text.data() + at, end - at);
    at = end + 1;
    constexpr std::string_view kOffset = "  .offset:", kExpires = " # expires at ";
    if (line.starts_with(kOffset)) monotonic = line.find(" 0 nsecs") != std::string_view::npos;
    if (line.starts_with(" #") && !line.starts_with(kExpires))
      sleeper = line.find(", hrtimer_wakeup,") != std::string_view::npos;
    if (!monotonic || !sleeper || !line.starts_with(kExpires)) continue;
    uint64_t time = 0;
    std::from_chars(line.data() + kExpires.size(), line.data() + line.size(), time);
    times.insert(time);
  }
  return times;
}

// Until the thread sleeps in a system call.
void wait_for_sleep(Tid tid, const procfs::ProcTask& proc, uint64_t at_most_ns) {
  const uint64_t until = monotonic_ns() + at_most_ns;
  while (monotonic_ns() < until) {
    Result<std::string> call = sys::read_file(proc.dir(), fmt::format("task/{}/syscall", tid));
    if (call && !call->empty() && call->front() >= '0' && call->front() <= '9') return;
    sched_yield();
  }
}

// What restart_syscall continues, by the kernel function that a thread sleeps in.
std::optional<uint64_t> call_by_sleep(Tid tid, const procfs::ProcTask& proc,
                                      const arch::Registers& registers) {
  constexpr uint64_t kMostClocks = 4096;  // no address is that low
  Result<std::string> where = sys::read_file(proc.dir(), fmt::format("task/{}/wchan", tid));
  if (!where) return std::nullopt;
  if (where->starts_with("poll_")) return arch::number_of(arch::TimedWait::poll);
  if (where->starts_with("futex_")) return arch::number_of(arch::TimedWait::futex);
  // Of a sleep the kernel shows the caller only: do_nanosleep() counts as scheduler. Anything else is no wait at all.
  if (!arch::makes_system_calls(*where) && !where->starts_with("hrtimer_")) return std::nullopt;
  return arch::number_of(registers.argument(0) < kMostClocks ? arch::TimedWait::clock_nanosleep
                                                             : arch::TimedWait::nanosleep);
}

// restart_syscall, which means nothing in a new task: what it continues must be found out.
bool is_unknown(const FrozenThread& thread) {
  const std::optional<arch::InterruptedCall> call = thread.state.general.interrupted_call();
  return call && call->nr == SYS_restart_syscall;
}

// Lets the thread go on as it is, looks what it sleeps in, and stops it again. `while_it_sleeps` is called then.
template <class Look>
Result<void> let_it_sleep(FrozenThread& thread, const procfs::ProcTask& proc, FdRef mem,
                          Look while_it_sleeps) {
  constexpr uint64_t kLittle = 5'000'000, kMuch = 200'000'000;
  // Once it goes on, the call shows as restart_syscall: what it was is known only from before.
  const std::optional<arch::InterruptedCall> first = thread.state.general.interrupted_call();
  const bool was_unknown = is_unknown(thread);
  Stopped stopped = thread.task;
  Running running = TRY(std::move(stopped).resume());
  wait_for_sleep(running.tid(), proc, was_unknown ? kMuch : kLittle);
  const std::optional<uint64_t> sleeps_in =
      first && !was_unknown ? std::optional<uint64_t>(first->nr)
                            : call_by_sleep(running.tid(), proc, thread.state.general);
  TRY(while_it_sleeps());
  TRY(running.interrupt());
  thread.task = TRY(std::move(running).wait_for_interrupt());
  thread.state = TRY(thread.task.thread_state());
  thread.mask = TRY(thread.task.signal_mask());
  TRY(take_back_the_stop(thread, proc, mem));
  const std::optional<arch::InterruptedCall> call = thread.state.general.interrupted_call();
  if (call && call->nr == SYS_restart_syscall && sleeps_in)
    thread.state.general.interrupt({*sleeps_in, call->restart});
  return {};
}

// Which wake-up times appear while the thread sleeps. They may be those of other processes, too.
Result<std::set<uint64_t>> watch_waiting(FrozenThread& thread, const procfs::ProcTask& proc,
                                         FdRef mem, FdRef proc_root) {
  const std::set<uint64_t> before = TRY(wake_up_times(proc_root));
  std::set<uint64_t> during;
  const auto look = [&]() -> Result<void> {
    during = TRY(wake_up_times(proc_root));
    return {};
  };
  TRY(let_it_sleep(thread, proc, mem, look));
  const std::set<uint64_t> after = TRY(wake_up_times(proc_root));
  std::set<uint64_t> own;
  for (const uint64_t time : during)
    if (!before.contains(time) && !after.contains(time)) own.insert(time);
  return own;
}

// poll(2) without a time limit.
bool waits_for_ever(uint64_t nr, uint64_t third_argument) {
  return arch::timed_wait(nr) == arch::TimedWait::poll && static_cast<int32_t>(third_argument) < 0;
}

// A wait that has a part of its time left. Not one until a point in time (FUTEX_WAIT_BITSET): that starts again.
bool goes_on_waiting(const FrozenThread& thread) {
  const arch::Registers& registers = thread.state.general;
  const std::optional<arch::InterruptedCall> call = registers.interrupted_call();
  return call && call->restart == arch::Restart::restart_block &&
         !arch::waits_until(call->nr, registers.argument(1)) &&
         !waits_for_ever(call->nr, registers.argument(2));
}

// The time that the program asked for.
std::optional<uint64_t> time_asked_for(const FrozenThread& thread, FdRef mem) {
  const arch::Registers& registers = thread.state.general;
  const std::optional<arch::InterruptedCall> call = registers.interrupted_call();
  const arch::TimedWait wait = call ? arch::timed_wait(call->nr) : arch::TimedWait::none;
  if (wait == arch::TimedWait::none) return std::nullopt;
  if (wait == arch::TimedWait::poll)
    return static_cast<uint32_t>(registers.argument(2)) * (kSecond / 1000);
  const size_t argument = wait == arch::TimedWait::nanosleep         ? 0
                          : wait == arch::TimedWait::clock_nanosleep ? 2
                                                                     : 3;
  const std::optional<timespec> time = read_object<timespec>(mem, registers.argument(argument));
  if (!time || time->tv_sec < 0 || time->tv_nsec < 0) return std::nullopt;
  const auto seconds = static_cast<uint64_t>(std::min<time_t>(time->tv_sec, INT32_MAX));
  return seconds * kSecond + static_cast<uint64_t>(time->tv_nsec);
}

// One dump at a time: what another one lets go and stops again looks just like ours. Nobody else locks this file.
Result<bool> lock_looking(FdRef timer_list, uint64_t until_ns) {
  for (;;) {
    Result<void> locked = sys::flock(timer_list, LOCK_EX | LOCK_NB);
    if (locked) return true;
    if (locked.error().code() != EWOULDBLOCK) return std::move(locked).error();
    if (monotonic_ns() > until_ns) return false;
    sched_yield();
  }
}

// How long the thread still waits. It wants to be woken at the same time whenever it is let go; what others want is
// another time at each look.
Result<std::optional<uint64_t>> find_time_left(FrozenThread& thread, const procfs::ProcTask& proc,
                                               FdRef mem, uint64_t until_ns) {
  constexpr int kLooks = 4;
  constexpr uint64_t kSlack = 20'000'000;  // timers are late, and so are we
  const Fd root = TRY(sys::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Fd timer_list = TRY(sys::open("/proc/timer_list", O_RDONLY | O_CLOEXEC));
  const bool alone = TRY(lock_looking(timer_list, until_ns));
  if (!alone) return std::optional<uint64_t>();
  std::set<uint64_t> seen;
  for (int look = 0; look < kLooks && goes_on_waiting(thread) && monotonic_ns() < until_ns;
       ++look) {
    const std::set<uint64_t> times = TRY(watch_waiting(thread, proc, mem, root));
    std::vector<uint64_t> again;
    std::ranges::set_intersection(times, seen, std::back_inserter(again));
    if (again.size() == 1) {
      const uint64_t now = monotonic_ns();
      const uint64_t left = again.front() > now ? again.front() - now : 1;
      const std::optional<uint64_t> asked_for = time_asked_for(thread, mem);
      if (asked_for && left <= *asked_for + kSlack) return std::optional<uint64_t>(left);
    }
    seen.insert(times.begin(), times.end());
  }
  return std::optional<uint64_t>();
}

}  // namespace

uint64_t monotonic_ns() {
  timespec now{};
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

Result<void> take_back_the_stop(FrozenThread& thread, const procfs::ProcTask& proc, FdRef mem) {
  TRY(abort_critical_section(thread, mem));
  arch::Registers& registers = thread.state.general;
  const std::optional<uint64_t> finished = registers.finished_call();
  if (finished && registers.result() == -EINTR && arch::fails_at_a_stop(*finished)) {
    const bool due = TRY(handler_is_due(thread.task.tid(), proc));
    if (!due) registers.interrupt({*finished, arch::Restart::nohand});
    return {};
  }
  const std::optional<arch::InterruptedCall> call = registers.interrupted_call();
  if (!call || call->nr != SYS_restart_syscall) return {};
  if (const std::optional<uint64_t> nr = call_in_code(registers.ip(), mem))
    registers.interrupt({*nr, call->restart});
  return {};
}

Result<void> record_interrupted_call(FrozenThread& thread, const procfs::ProcTask& proc, FdRef mem,
                                     uint64_t until_ns, pb::cryo_thread_entry& image) {
  constexpr uint64_t kShort = 20'000'000;  // ns
  std::optional<uint64_t> left;
  if (goes_on_waiting(thread)) {
    left = told_to_program(thread.state.general, thread.state.general.interrupted_call()->nr, mem);
    // A thread in a group stop must not be let go even for a moment.
    // Nor for a wait so short that to begin it anew takes no longer than to look.
    const bool is_short = time_asked_for(thread, mem).value_or(UINT64_MAX) <= kShort;
    if (!left && !is_short && thread.task.group_stop_signal() == 0) {
      left = TRY(find_time_left(thread, proc, mem, until_ns));
      if (is_unknown(thread)) TRY(let_it_sleep(thread, proc, mem, [] { return Result<void>(); }));
    }
  }
  const std::optional<arch::InterruptedCall> call = thread.state.general.interrupted_call();
  if (!call) return {};
  pb::cryo_interrupted_call& out = *image.mutable_interrupted_call();
  out.set_nr(call->nr);
  out.set_restart(static_cast<uint32_t>(call->restart));
  if (left && goes_on_waiting(thread) && arch::timed_wait(call->nr) != arch::TimedWait::none)
    out.set_left_ns(*left);
  return {};
}

}  // namespace cryo
