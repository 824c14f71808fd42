// The fd table: which number is which open file description, and whether it is closed on exec.
#include <sys/syscall.h>

#include "kinds/all.h"
#include "kinds/files/owner.h"
#include "kinds/files/table.h"
#include "kinds/registry.h"

namespace cryo {
namespace {

Result<void> examine(const TaskView& task) {
  for (const FdView& view : task.fds)
    TRY_IN(examine_file(task, view), "looking at fd {}", *view.fd);
  return {};
}

Result<void> capture(TaskCapture& task) {
  for (const FdView& view : task.fds) {
    const FileKind* kind = file_kind_of(view);
    if (kind == nullptr) continue;
    const FileId id =
        TRY_IN(task.capture.files.add(task, view), "recording fd {} ({})", *view.fd, kind->name);
    pb::fdinfo_entry& entry = task.image.fds.emplace_back();
    entry.set_id(id.value);
    entry.set_flags(view.cloexec ? 1 : 0);
    entry.set_type(kind->type);
    entry.set_fd(static_cast<uint32_t>(view.fd->value));
  }
  return {};
}

Result<void> compile(TaskRestore& task) {
  Batch& batch = task.plan.calls(Phase::files);
  uint32_t next = 0;
  for (const pb::fdinfo_entry& entry : task.image.fds) {
    if (entry.fd() < next)
      return Error::bad_image(fmt::format("fdinfo: fd {} is out of order", entry.fd()));
    const auto file = task.restore.snapshot.files.find(FileId{entry.id()});
    if (file == task.restore.snapshot.files.end() || file->second.type() != entry.type())
      return Error::bad_image(
          fmt::format("fdinfo: fd {} is of type {} with id {}, which files.img does not have",
                      entry.fd(), static_cast<int>(entry.type()), entry.id()));
    const int staged = task.restore.files.file(FileId{entry.id()});
    // Most are made where they belong.
    if (static_cast<uint32_t>(staged) != entry.fd())
      batch.call(SYS_dup3, staged, entry.fd(), (entry.flags() & 1) != 0 ? O_CLOEXEC : 0)
          .expect_exactly(entry.fd());
    next = entry.fd() + 1;
  }
  // What the task inherited from the coordinator lies in the gaps.
  next = 0;
  for (const pb::fdinfo_entry& entry : task.image.fds) {
    if (entry.fd() > next) batch.call(SYS_close_range, next, entry.fd() - 1, 0);
    next = entry.fd() + 1;
  }
  batch.call(SYS_close_range, next, ~0U, 0);
  return compile_owners(task);
}

}  // namespace

const TaskKind fd_table_kind = {
    .name = "fd table", .examine = examine, .capture = capture, .compile = compile};

}  // namespace cryo
