// The file system context of a process: working directory, root directory, umask.
#include <sys/syscall.h>

#include "kinds/all.h"
#include "kinds/files/table.h"

namespace cryo {
namespace {

Result<void> examine(const TaskView& task) {
  for (const char* name : {"cwd", "root"}) {
    const FdView view = TRY(FdView::of_link(task.proc.dir(), name, O_RDONLY));
    TRY(examine_file(task, view));
  }
  return {};
}

Result<void> capture(TaskCapture& task) {
  const FdView cwd = TRY(FdView::of_link(task.proc.dir(), "cwd", O_RDONLY));
  const FdView root = TRY(FdView::of_link(task.proc.dir(), "root", O_RDONLY));
  const FileId cwd_id = TRY(task.capture.files.add(task, cwd));
  const FileId root_id = TRY(task.capture.files.add(task, root));
  task.image.fs.set_cwd_id(cwd_id.value);
  task.image.fs.set_root_id(root_id.value);
  task.image.fs.set_umask(task.status.umask.value_or(022));
  return {};
}

// Then chroot(2), which needs a capability, is not needed.
bool has_our_root(const TaskRestore& task) {
  const auto root = task.restore.snapshot.files.find(FileId{task.image.fs.root_id()});
  return task.restore.options.root.empty() && root != task.restore.snapshot.files.end() &&
         root->second.reg().name() == "/";
}

Result<void> compile(TaskRestore& task) {
  const pb::fs_entry& fs = task.image.fs;
  Batch& batch = task.plan.calls(Phase::fs);
  if (!has_our_root(task)) {
    batch.call(SYS_fchdir, task.restore.files.file(FileId{fs.root_id()}, O_PATH | O_DIRECTORY));
    batch.call(SYS_chroot, batch.put_string("."));
  }
  batch.call(SYS_fchdir, task.restore.files.file(FileId{fs.cwd_id()}, O_PATH | O_DIRECTORY));
  if (fs.has_umask()) batch.call(SYS_umask, fs.umask());
  return {};
}

}  // namespace

const TaskKind fs_kind = {.name = "fs", .examine = examine, .capture = capture, .compile = compile};

}  // namespace cryo
