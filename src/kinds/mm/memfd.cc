// Descriptors of memory objects: memfd_create(2), and what map_files opens of shared anonymous memory. Hidden: the
// contents and seals, which belong to the object (memory_object.cc).
#include "fdinfo.pb.h"
#include "kinds/all.h"
#include "kinds/mm/memory_object.h"
#include "sys/file.h"

namespace cryo {
namespace {

bool matches(const FdView& view) { return unnamed_memory(view) == Unnamed::memory_object; }

Result<void> capture(const TaskView& task, const FdView& view, FileId id, pb::file_entry& entry) {
  pb::memfd_file_entry& memfd = *entry.mutable_memfd();
  memfd.set_id(id.value);
  memfd.set_flags(view.flags);
  memfd.set_pos(view.pos);
  const uint32_t inode = TRY(capture_memory_object(task, view));
  memfd.set_inode_id(inode);
  return {};
}

Result<Fd> restore(const FileRestore& file, const pb::file_entry& entry) {
  const pb::memfd_file_entry& memfd = entry.memfd();
  const int object = TRY(staged_memory_object(file.restore, memfd.inode_id()));
  const int flags =
      file.open_flags.value_or(static_cast<int>(memfd.flags())) & ~(O_CREAT | O_EXCL | O_TRUNC);
  Fd fd = TRY(sys::open(fmt::format("/proc/self/fd/{}", object), flags | O_CLOEXEC));
  if (!file.open_flags && memfd.pos() != 0 && (flags & O_PATH) == 0)
    TRY(sys::lseek(fd, static_cast<int64_t>(memfd.pos()), SEEK_SET));
  return fd;
}

const pb::fown_entry& owner(const pb::file_entry& entry) { return entry.memfd().fown(); }
pb::fown_entry* mutable_owner(pb::file_entry& entry) {
  return entry.mutable_memfd()->mutable_fown();
}

Result<void> compile(TaskRestore& task) { return stage_memory_objects(task); }

}  // namespace

const FileKind memfd_kind = {.name = "memfd",
                             .type = pb::MEMFD,
                             .matches = matches,
                             .capture = capture,
                             .restore = restore,
                             .owner = owner,
                             .mutable_owner = mutable_owner};
const TaskKind memory_objects_kind = {.name = "memory objects", .compile = compile};

}  // namespace cryo
