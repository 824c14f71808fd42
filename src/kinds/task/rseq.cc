// Restartable sequences, rseq(2) (4.18): an area of each thread that the kernel writes the CPU number to. The
// registration is read by ptrace (5.13).
//
// A thread that was stopped inside of a critical section goes on at its abort handler, in the image and when it
// is left running (engine/stopped_state.h).
#include "kinds/all.h"

#include <sys/syscall.h>

#include "sys/ptrace.h"

namespace cryo {
namespace {

Result<void> capture_thread(ThreadCapture& thread) {
  Result<sys::RseqConfiguration> rseq = sys::ptrace_get_rseq_configuration(thread.tid());
  if (!rseq)
    return rseq.error().kind() == ErrorKind::gone ? Result<void>(std::move(rseq).error())
                                                  : Result<void>();
  if (rseq->abi_pointer == 0) return {};
  pb::rseq_entry& entry = *thread.core().mutable_rseq_entry();
  entry.set_rseq_abi_pointer(rseq->abi_pointer);
  entry.set_rseq_abi_size(rseq->abi_size);
  entry.set_signature(rseq->signature);
  return {};
}

Result<void> compile(TaskRestore& task) {
  for (size_t i = 0; i < task.image.threads.size(); ++i) {
    const pb::thread_core_entry& core = task.image.threads[i].core.thread_core();
    if (!core.has_rseq_entry() || core.rseq_entry().rseq_abi_pointer() == 0) continue;
    const pb::rseq_entry& entry = core.rseq_entry();
    task.plan.calls(i == 0 ? Phase::task : Phase::thread, i)
        .call(SYS_rseq, entry.rseq_abi_pointer(), entry.rseq_abi_size(), 0, entry.signature());
  }
  return {};
}

}  // namespace

const TaskKind rseq_kind = {
    .name = "rseq registration", .capture_thread = capture_thread, .compile = compile};

}  // namespace cryo
