// Files and directories that have a path: regular files, directories, and devices that are just opened again.
#include "fdinfo.pb.h"
#include "kinds/all.h"
#include "sys/file.h"

namespace cryo {
namespace {

bool matches(const FdView& view) { return S_ISREG(view.st.st_mode) || S_ISDIR(view.st.st_mode) || S_ISCHR(view.st.st_mode); }

Result<void> capture(const TaskView& task, const FdView& view, FileId id, pb::file_entry& entry) {
  pb::reg_file_entry& reg = *entry.mutable_reg();
  reg.set_id(id.value);
  reg.set_flags(view.flags);
  reg.set_pos(view.pos);
  pb::fown_entry& owner = *reg.mutable_fown();
  owner.set_uid(0);
  owner.set_euid(0);
  owner.set_signum(0);
  owner.set_pid_type(0);
  owner.set_pid(0);
  reg.set_name(view.link);
  reg.set_size(static_cast<uint64_t>(view.st.st_size));
  reg.set_mode(view.st.st_mode);
  if (view.st.st_nlink == 0) task.block(view.path, fmt::format("is a removed file ({})", view.link));
  return {};
}

Result<Fd> restore(const FileRestore& file, const pb::file_entry& entry) {
  const pb::reg_file_entry& reg = entry.reg();
  const int flags = file.open_flags.value_or(static_cast<int>(reg.flags())) & ~(O_CREAT | O_EXCL | O_TRUNC);
  // Relative to the root that was asked for.
  const size_t start = reg.name().find_first_not_of('/');
  const char* path = start == std::string::npos ? "." : reg.name().c_str() + start;
  Fd fd = TRY(sys::openat(file.restore.root, path, flags | O_NOCTTY));
  const struct stat st = TRY(sys::fstat(fd));
  if (reg.has_size() && S_ISREG(st.st_mode) && static_cast<uint64_t>(st.st_size) != reg.size())
    return Error::of(ErrorKind::os, fmt::format("{} has {} bytes, and had {} when it was dumped", reg.name(), st.st_size, reg.size()));
  if (reg.pos() != 0 && reg.pos() != ~uint64_t{0} && !file.open_flags) TRY(sys::lseek(fd, static_cast<int64_t>(reg.pos()), SEEK_SET));
  return fd;
}

}  // namespace

const FileKind regular_kind = {.name = "regular", .type = pb::REG, .matches = matches, .capture = capture, .restore = restore};

}  // namespace cryo
