#include "engine/stopped_state.h"

#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

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

// poll(2) without a time limit.
bool waits_for_ever(uint64_t nr, uint64_t third_argument) {
  return arch::timed_wait(nr) == arch::TimedWait::poll && static_cast<int32_t>(third_argument) < 0;
}

// restart_syscall, which means nothing in a new task: what it continues must be found out.
bool is_unknown(const arch::InterruptedCall& call) { return call.nr == SYS_restart_syscall; }

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

// To begin so short a wait anew takes no longer than to look how much of it is left.
bool is_short(const FrozenThread& thread, FdRef mem) {
  constexpr uint64_t kShort = 20'000'000;  // ns
  return time_asked_for(thread, mem).value_or(UINT64_MAX) <= kShort;
}

// The call that restart_syscall continues.
std::optional<uint64_t> continued_call(const arch::Registers& registers,
                                       const RestartBlock& block) {
  constexpr uint64_t kMostClocks = 4096;  // no address is that low
  if (block.wait != arch::TimedWait::nanosleep) return arch::number_of(block.wait);
  return arch::number_of(registers.argument(0) < kMostClocks ? arch::TimedWait::clock_nanosleep
                                                             : arch::TimedWait::nanosleep);
}

// A clock of the process's own CPU time (negative, with no number in it) as other processes name it.
clockid_t as_seen_from_outside(clockid_t clock, Pid pid) {
  constexpr int kKindBits = 3;
  if (clock >= 0 || (clock >> kKindBits) != -1) return clock;
  const auto kind = static_cast<unsigned>(clock) & ((1U << kKindBits) - 1);
  return static_cast<clockid_t>((~static_cast<unsigned>(pid.value) << kKindBits) | kind);
}

// At least 1, so that the time that is over is not taken for one that was not limited.
std::optional<uint64_t> time_left(const RestartBlock& block, Pid pid) {
  timespec now{};
  if (block.until_ns == 0) return std::nullopt;
  if (clock_gettime(as_seen_from_outside(block.clock, pid), &now) != 0) return std::nullopt;
  const uint64_t now_ns =
      static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
  return block.until_ns > now_ns ? block.until_ns - now_ns : 1;
}

// Completes the call, and tells the time that is left.
std::optional<uint64_t> complete_call(FrozenThread& thread, const RestartBlock& block, Pid pid) {
  if (!goes_on_waiting(thread)) return std::nullopt;
  arch::Registers& registers = thread.state.general;
  const arch::InterruptedCall call = *registers.interrupted_call();
  const std::optional<uint64_t> nr =
      is_unknown(call) ? continued_call(registers, block) : std::nullopt;
  if (nr) registers.interrupt({*nr, call.restart});
  // Now that the call is known, it may be one that starts again.
  return goes_on_waiting(thread) ? time_left(block, pid) : std::nullopt;
}

// The same on a kernel that does not let us look.
std::optional<uint64_t> complete_call_by_guess(FrozenThread& thread, FdRef mem) {
  if (!goes_on_waiting(thread)) return std::nullopt;
  arch::Registers& registers = thread.state.general;
  const arch::InterruptedCall call = *registers.interrupted_call();
  const std::optional<uint64_t> nr =
      is_unknown(call) ? call_in_code(registers.ip(), mem) : std::nullopt;
  if (nr) registers.interrupt({*nr, call.restart});
  return goes_on_waiting(thread) ? told_to_program(registers, nr.value_or(call.nr), mem)
                                 : std::nullopt;
}

}  // namespace

Result<void> take_back_the_stop(FrozenThread& thread, const procfs::ProcTask& proc, FdRef mem) {
  TRY(abort_critical_section(thread, mem));
  arch::Registers& registers = thread.state.general;
  const std::optional<uint64_t> finished = registers.finished_call();
  if (finished && registers.result() == -EINTR && arch::fails_at_a_stop(*finished)) {
    const bool due = TRY(handler_is_due(thread.task.tid(), proc));
    if (due) return {};
    registers.interrupt({*finished, arch::Restart::nohand});
    return thread.task.set_registers(registers);  // also for a thread that nothing is injected into
  }
  return {};
}

bool waits_for_unknown_time(const FrozenThread& thread, FdRef mem) {
  return goes_on_waiting(thread) &&
         (is_unknown(*thread.state.general.interrupted_call()) || !is_short(thread, mem));
}

void record_interrupted_call(ThreadCapture& capture) {
  FrozenThread& thread = capture.task.threads[capture.index];
  const ThreadRecord* record = capture.record();
  const std::optional<uint64_t> left =
      record != nullptr ? complete_call(thread, record->restart, capture.task.pid)
                        : complete_call_by_guess(thread, capture.task.mem);
  const std::optional<arch::InterruptedCall> call = thread.state.general.interrupted_call();
  if (!call) return;
  pb::cryo_interrupted_call& out = *capture.image().extra.mutable_interrupted_call();
  out.set_nr(call->nr);
  out.set_restart(static_cast<uint32_t>(call->restart));
  if (left) out.set_left_ns(*left);
}

}  // namespace cryo
