// Registers, extended processor state and signal mask of each thread, and the thread's own addresses that the
// kernel keeps: clear_child_tid.
//
// The dump reads them by ptrace at the stop; the restore sets them at the very end (engine/stage.cc), when the
// task has left the puppet.
#include "arch/core_image.h"
#include "kinds/all.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

namespace cryo {
namespace {

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

Result<void> compile(TaskRestore& task) {
  for (size_t i = 0; i < task.image.threads.size(); ++i) {
    const pb::core_entry& core = task.image.threads[i].core;
    (void)TRY_IN(arch::decode_thread(core), "reading the registers of thread {}", task.image.threads[i].tid);
    task.plan.calls(i == 0 ? Phase::task : Phase::thread, i).call(SYS_set_tid_address, arch::clear_tid_of(core));
  }
  return {};
}

}  // namespace

const TaskKind registers_kind = {.name = "registers", .ask_thread = ask_thread, .compile = compile};

}  // namespace cryo
