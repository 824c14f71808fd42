// What identifies a task and its threads: pids, session and group (made again by the engine), name, state; and the fields that the
// format demands of every core image.
#include "kinds/all.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

#include "sys/file.h"

namespace cryo {
namespace {

Result<void> examine(const TaskView& task) {
  const bool is_root = task.pid == task.capture.options.tree;
  if (is_root && !task.capture.options.shell_job &&
      (task.stat.session != task.pid.value || task.stat.pgrp != task.pid.value))
    task.block("",
               fmt::format("is not a session leader of its own (session {}, process group {})",
                           task.stat.session, task.stat.pgrp),
               "start it with setsid, or use --shell-job on both sides");
  return {};
}

Result<void> capture(TaskCapture& task) {
  pb::pstree_entry& node = task.image.node;
  node.set_pid(static_cast<uint32_t>(task.pid.value));
  const bool is_root = task.pid == task.capture.options.tree;
  node.set_ppid(is_root ? 0 : static_cast<uint32_t>(task.stat.ppid));
  node.set_pgid(static_cast<uint32_t>(task.stat.pgrp));
  node.set_sid(static_cast<uint32_t>(task.stat.session));
  for (const FrozenThread& thread : task.threads)
    node.add_threads(static_cast<uint32_t>(thread.task.tid().value));
  pb::task_core_entry& tc = task.image.mutable_tc();
  const int stop_signal = task.threads.front().task.group_stop_signal();
  tc.set_task_state(stop_signal != 0 ? kTaskStopped : kTaskAlive);
  if (stop_signal != 0) tc.set_stop_signo(static_cast<uint32_t>(stop_signal));
  tc.set_exit_code(0);
  tc.set_flags(static_cast<uint32_t>(task.stat.flags));
  tc.set_comm(task.stat.comm);
  tc.set_personality(TRY(task.proc.personality()));
  return {};
}

Result<std::string> comm_of(const ThreadCapture& thread) {
  if (const ThreadRecord* record = thread.record()) return record->comm;
  std::string comm =
      TRY(sys::read_file(thread.task.proc.dir(), fmt::format("task/{}/comm", thread.tid())));
  if (!comm.empty() && comm.back() == '\n') comm.pop_back();
  return comm;
}

Result<void> capture_thread(ThreadCapture& thread) {
  thread.core().set_comm(TRY(comm_of(thread)));
  thread.core().set_cg_set(1);
  if (thread.index == 0)
    thread.task.image.mutable_tc().set_blk_sigset(thread.frozen().mask);
  else
    thread.core().set_blk_sigset(thread.frozen().mask);
  return {};
}

void set_name(Batch& batch, const std::string& name) {
  batch.call(SYS_prctl, PR_SET_NAME, batch.put_string(name.substr(0, 15)));
}

Result<void> compile(TaskRestore& task) {
  set_name(task.plan.calls(Phase::task), task.image.tc().comm());
  for (size_t i = 1; i < task.image.threads.size(); ++i) {
    const pb::thread_core_entry& core = task.image.threads[i].core.thread_core();
    set_name(task.plan.calls(Phase::thread, i),
             core.has_comm() ? core.comm() : task.image.tc().comm());
  }
  return {};
}

}  // namespace

const TaskKind core_kind = {.name = "core",
                            .examine = examine,
                            .capture = capture,
                            .capture_thread = capture_thread,
                            .compile = compile};

}  // namespace cryo
