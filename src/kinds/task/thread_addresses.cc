// Addresses in the task's memory that the kernel keeps for each thread: the robust futex list
// (set_robust_list(2)) and the alternate signal stack (sigaltstack(2)).
#include "kinds/all.h"

#include <sys/syscall.h>

#include <csignal>

#include "sys/process.h"

namespace cryo {
namespace {

Result<void> capture_thread(ThreadCapture& thread) {
  const sys::RobustList list = TRY(sys::get_robust_list(thread.tid()));
  thread.core().set_futex_rla(list.head);
  thread.core().set_futex_rla_len(static_cast<uint32_t>(list.length));
  return {};
}

void encode(uint64_t address, uint64_t size, uint32_t flags, pb::thread_core_entry& core) {
  core.mutable_sas()->set_ss_sp(address);
  core.mutable_sas()->set_ss_size(size);
  core.mutable_sas()->set_ss_flags(flags);
}

Result<Answer> ask_thread(ThreadCapture& thread, Batch& batch) {
  const Data stack = batch.reserve(sizeof(stack_t));
  batch.call(SYS_sigaltstack, 0, stack);
  pb::thread_core_entry* core = &thread.core();
  return Answer([=](const Outcome& outcome) -> Result<void> {
    const stack_t s = outcome.get<stack_t>(stack);
    encode(reinterpret_cast<uint64_t>(s.ss_sp), s.ss_size, static_cast<uint32_t>(s.ss_flags),
           *core);
    return {};
  });
}

// As sigaltstack(2) would answer.
bool adopt_thread(ThreadCapture& thread, const ThreadImage&) {
  constexpr uint32_t kAutodisarm = uint32_t{1} << 31;  // SS_AUTODISARM
  const ThreadRecord& record = *thread.record();
  const uint64_t above = thread.frozen().state.general.sp() - record.signal_stack - 1;
  uint32_t flags = record.signal_stack_flags;
  if (record.signal_stack_size == 0)
    flags |= SS_DISABLE;
  else if ((flags & kAutodisarm) == 0 && above < record.signal_stack_size)
    flags |= SS_ONSTACK;
  encode(record.signal_stack, record.signal_stack_size, flags, thread.core());
  return true;
}

Result<void> compile(TaskRestore& task) {
  for (size_t i = 0; i < task.image.threads.size(); ++i) {
    const pb::thread_core_entry& core = task.image.threads[i].core.thread_core();
    Batch& batch = task.plan.calls(i == 0 ? Phase::task : Phase::thread, i);
    if (core.futex_rla() != 0)
      batch.call(SYS_set_robust_list, core.futex_rla(), core.futex_rla_len());
    if (!core.has_sas() || (core.sas().ss_flags() & SS_DISABLE) != 0) continue;
    stack_t stack{};
    stack.ss_sp = reinterpret_cast<void*>(core.sas().ss_sp());
    stack.ss_size = core.sas().ss_size();
    // SS_ONSTACK only tells where the thread is at the moment.
    stack.ss_flags = static_cast<int>(core.sas().ss_flags() & ~uint32_t{SS_ONSTACK});
    batch.call(SYS_sigaltstack, batch.put(stack), 0);
  }
  return {};
}

}  // namespace

const TaskKind thread_addresses_kind = {.name = "thread addresses",
                                        .capture_thread = capture_thread,
                                        .ask_thread = ask_thread,
                                        .adopt_thread = adopt_thread,
                                        .compile = compile};

}  // namespace cryo
