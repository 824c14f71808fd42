// Registers, extended processor state and signal mask of each thread, and the thread's own addresses that the
// kernel keeps: clear_child_tid.
//
// The dump reads them by ptrace at the stop; the restore sets them at the very end (engine/stage.cc), when the
// task has left the puppet.
#include "arch/core_image.h"
#include "arch/interrupted.h"
#include "arch/uncarried.h"
#include "kinds/all.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <ctime>

#include "sys/ptrace.h"

namespace cryo {
namespace {

// Only a stopped thread shows it; every system call discards vectors, so that mostly there is none.
Result<void> capture_thread(ThreadCapture& thread) {
  for (const arch::UncarriedState& state : arch::uncarried_states()) {
    std::array<std::byte, arch::kUncarriedHead> head{};
    Result<size_t> size = sys::ptrace_getregset(thread.tid(), state.note, head.data(), head.size());
    // The processor or the kernel does not have it.
    if (!size || !state.in_use(std::span(head).first(*size))) continue;
    thread.task.block(fmt::format("thread {}", thread.tid()), fmt::format("uses {}", state.what),
                      "the images have no place for that");
  }
  return {};
}

Result<Answer> ask_thread(ThreadCapture& thread, Batch& batch) {
  const Data address = batch.reserve(8);
  batch.call(SYS_prctl, PR_GET_TID_ADDRESS, address, 0, 0, 0);
  ThreadImage* image = &thread.image();
  const FrozenThread* frozen = &thread.frozen();
  return Answer([=](const Outcome& outcome) -> Result<void> {
    arch::encode_thread(frozen->state, outcome.get<uint64_t>(address), image->core);
    return {};
  });
}

bool adopt_thread(ThreadCapture& thread, const ThreadImage&) {
  arch::encode_thread(thread.frozen().state, thread.record()->clear_child_tid, thread.image().core);
  return true;
}

// The thread really waits again, for the time that was left: the engine's stop then interrupts it as the dump's did,
// and the kernel goes on with it by itself.
void wait_again(Batch& batch, const arch::Registers& r, const pb::cryo_interrupted_call& call) {
  const uint64_t ns = call.left_ns();
  const Data left = batch.put(
      timespec{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)});
  const auto nr = static_cast<long>(call.nr());
  switch (arch::timed_wait(call.nr())) {
    case arch::TimedWait::nanosleep:
      batch.call(nr, left, r.argument(1)).no_reply();
      break;
    case arch::TimedWait::clock_nanosleep:
      batch.call(nr, r.argument(0), 0, left, r.argument(3)).no_reply();
      break;
    case arch::TimedWait::futex:
      batch.call(nr, r.argument(0), r.argument(1), r.argument(2), left).no_reply();
      break;
    case arch::TimedWait::poll:
      batch.call(nr, r.argument(0), r.argument(1), (ns + 999'999) / 1'000'000).no_reply();
      break;
    case arch::TimedWait::none:
      break;
  }
}

void compile_wait(TaskRestore& task, size_t i, const arch::Registers& registers) {
  const ThreadImage& image = task.image.threads[i];
  const pb::cryo_interrupted_call& call = image.extra.interrupted_call();
  if (!call.has_left_ns() || arch::timed_wait(call.nr()) == arch::TimedWait::none) return;
  if (arch::waits_until(call.nr(), registers.argument(1))) return;
  wait_again(task.plan.calls(Phase::wait, i), registers, call);
}

Result<void> compile(TaskRestore& task) {
  for (size_t i = 0; i < task.image.threads.size(); ++i) {
    const pb::core_entry& core = task.image.threads[i].core;
    const arch::ThreadState state = TRY_IN(
        arch::decode_thread(core), "reading the registers of thread {}", task.image.threads[i].tid);
    compile_wait(task, i, state.general);
    task.plan.calls(i == 0 ? Phase::task : Phase::thread, i)
        .call(SYS_set_tid_address, arch::clear_tid_of(core));
  }
  return {};
}

}  // namespace

const TaskKind registers_kind = {.name = "registers",
                                 .capture_thread = capture_thread,
                                 .ask_thread = ask_thread,
                                 .adopt_thread = adopt_thread,
                                 .compile = compile};

}  // namespace cryo
