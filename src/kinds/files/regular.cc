// Files that have a path: regular files, directories, the memory devices, and everything that is open with O_PATH
// only. A file that lost its name is handled by removed.cc (dump) and ghost.cc (restore).
#include "kinds/files/regular.h"

#include <linux/openat2.h>
#include <sys/sysmacros.h>

#include "fdinfo.pb.h"
#include "kinds/all.h"
#include "kinds/files/build_id.h"
#include "kinds/files/inherit.h"
#include "kinds/files/location.h"
#include "kinds/files/removed.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

constexpr uint64_t kNoPosition = ~uint64_t{0};
constexpr unsigned kMemoryDevices = 1;  // major number
constexpr unsigned kKernelLog = 11;     // minor number

bool is_path_only(const FdView& view) { return (view.flags & O_PATH) != 0; }

bool is_kernel_log(const FdView& view) {
  return S_ISCHR(view.st.st_mode) && view.st.st_rdev == makedev(kMemoryDevices, kKernelLog);
}

// "/memfd:NAME (deleted)", and other files of the kernel's own mounts.
bool is_nameless_memory(const FdView& view) {
  if (view.st.st_nlink != 0) return false;
  return view.link.starts_with("/memfd:") || view.link.starts_with("/SYSV") ||
         view.link.starts_with("/anon_hugepage");
}

bool matches(const FdView& view) {
  if (!view.link.starts_with('/')) return false;
  if (is_path_only(view)) return true;
  if (S_ISREG(view.st.st_mode)) return !is_nameless_memory(view);
  return S_ISDIR(view.st.st_mode) ||
         (S_ISCHR(view.st.st_mode) && major(view.st.st_rdev) == kMemoryDevices);
}

bool is_external(const TaskView& task, const FdView& view) {
  if (!view.fd) return false;
  const ExternalFile file{static_cast<uint32_t>(view.mnt_id), view.st.st_ino};
  const std::vector<ExternalFile>& all = task.capture.options.external_files;
  return std::find(all.begin(), all.end(), file) != all.end();
}

std::string where(const FdView& view) {
  return view.fd ? fmt::format("fd {}", *view.fd) : view.path;
}

Result<void> examine(const TaskView& task, const FdView& view) {
  if (is_external(task, view)) return {};
  if (is_kernel_log(view) && (view.flags & O_ACCMODE) != O_WRONLY && !is_path_only(view))
    task.block(where(view), "reads the kernel's log (/dev/kmsg), where no position can be restored",
               "close it before the dump");
  const Location location = TRY(locate(view));
  if (location.kind == Location::Kind::named) {
    const std::string own = fmt::format("/proc/{}/", task.pid);
    if (location.name.starts_with(own))
      task.block(where(view),
                 fmt::format("is a file about the process itself ({}), which cannot be dumped yet",
                             location.name),
                 "close it before the dump");
    return {};
  }
  if (location.kind == Location::Kind::hidden) {
    task.block(
        where(view),
        fmt::format("is open as {}, where another file or nothing is now", location.name),
        "is something mounted over it? Otherwise pass it from outside with --external file[...]");
    return {};
  }
  return examine_removed(task, view, location);
}

Result<void> record_contents(const TaskView& task, const FdView& view, pb::reg_file_entry& reg) {
  const bool only_appended = (view.flags & O_ACCMODE) == O_WRONLY && (view.flags & O_APPEND) != 0;
  if (!S_ISREG(view.st.st_mode) || only_appended) return {};
  reg.set_size(static_cast<uint64_t>(view.st.st_size));
  if (task.capture.options.file_validation != FileValidation::build_id || view.st.st_size == 0 ||
      is_path_only(view))
    return {};
  // Opened again, because the task may not have it open for reading.
  const Result<Fd> file = view.reopen(O_RDONLY | O_NONBLOCK | O_NOATIME | O_NOCTTY);
  if (!file) return {};
  for (const uint32_t word : read_build_id(file.value())) reg.add_build_id(word);
  return {};
}

Result<void> capture(const TaskView& task, const FdView& view, FileId id, pb::file_entry& entry) {
  pb::reg_file_entry& reg = *entry.mutable_reg();
  if (!is_external(task, view)) return record_path(task, view, id, reg);
  reg.set_id(id.value);
  reg.set_flags(view.flags);
  reg.set_pos(view.pos);
  reg.set_mode(view.st.st_mode);
  if (S_ISREG(view.st.st_mode)) reg.set_size(static_cast<uint64_t>(view.st.st_size));
  reg.set_ext(true);
  reg.set_name(fmt::format("file[{:x}:{:x}]", view.mnt_id, view.st.st_ino));
  return {};
}

// What the kernel shows in O_* of an open file and open(2) takes.
constexpr int kOpenFlags = O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DIRECT | O_NOATIME |
                           O_DIRECTORY | O_NOFOLLOW | O_PATH;
constexpr int kPathFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
constexpr int kTemporary = O_TMPFILE & ~O_DIRECTORY;

int flags_to_open(const FileRestore& file, const pb::reg_file_entry& reg) {
  if (file.open_flags) return *file.open_flags & (kOpenFlags | O_CLOEXEC);
  int flags = static_cast<int>(reg.flags());
  if ((flags & kTemporary) != 0) flags &= ~O_TMPFILE;
  return flags & ((flags & O_PATH) != 0 ? kPathFlags : kOpenFlags);
}

Result<std::optional<Fd>> from_outside(const FileRestore& file, const pb::reg_file_entry& reg) {
  std::string_view key = reg.name();
  if (!reg.ext() && key.starts_with('/')) key.remove_prefix(1);
  std::optional<Fd> fd = TRY(inherited(file.restore, key));
  if (!fd && reg.ext())
    return Error::usage(fmt::format("{} is a file from outside", reg.name()))
        .hint(fmt::format("pass it with --inherit-fd fd[N]:{}", reg.name()));
  return fd;
}

Result<Fd> open_named(const FileRestore& file, const pb::reg_file_entry& reg, int flags) {
  Result<Fd> fd = open_below_root(file.restore, reg.name(), flags);
  if (!fd && fd.error().kind() == ErrorKind::denied && sys::geteuid() != 0)
    return std::move(fd).error().hint(
        fmt::format("user {} may not open it so: run the restore as root, give the user that "
                    "right, or pass the file with --inherit-fd fd[N]:{}",
                    sys::geteuid(), reg.name().substr(1)));
  if (fd || fd.error().code() != ENOENT) return fd;
  return std::move(fd).error().hint(
      fmt::format("the file was there when the checkpoint was made: put it back, or pass another "
                  "with --inherit-fd fd[N]:{}",
                  reg.name().substr(1)));
}

Result<void> set_position(const FileRestore& file, FdRef fd, const struct stat& st,
                          const pb::reg_file_entry& reg, int flags) {
  const bool seekable = S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISCHR(st.st_mode);
  if (file.open_flags || (flags & O_PATH) != 0 || reg.pos() == 0 || reg.pos() == kNoPosition ||
      !seekable)
    return {};
  TRY(sys::lseek(fd, static_cast<int64_t>(reg.pos()), SEEK_SET));
  return {};
}

Result<Fd> restore(const FileRestore& file, const pb::file_entry& entry) {
  const pb::reg_file_entry& reg = entry.reg();
  std::optional<Fd> outside = TRY(from_outside(file, reg));
  if (outside) return std::move(*outside);
  if (!reg.name().starts_with('/'))
    return Error::bad_image(fmt::format(
        "files.img: file {} is called '{}', which is no absolute path", file.id, reg.name()));
  const int flags = flags_to_open(file, reg);
  std::optional<Fd> found = TRY(open_removed(file, reg, flags));
  const bool removed = found.has_value();
  Fd fd = removed ? std::move(*found) : TRY(open_named(file, reg, flags));
  const struct stat st = TRY(sys::fstat(fd));
  if (!removed) TRY(validate_file(file.restore, fd, st, reg));
  TRY(set_position(file, fd, st, reg, flags));
  return fd;
}

Error changed(const pb::reg_file_entry& reg, const std::string& what) {
  return Error::of(ErrorKind::os,
                   fmt::format("{} has changed since the dump: {}", reg.name(), what))
      .hint("put the file back as it was; the process depends on its contents");
}

// Whether the build-ids say that it is the same file; nothing if they say nothing.
std::optional<bool> same_build(const Restore& restore, FdRef fd, const pb::reg_file_entry& reg) {
  if (restore.options.file_validation != FileValidation::build_id || reg.build_id_size() == 0)
    return std::nullopt;
  // The descriptor may be for writing only.
  const Result<Fd> readable = sys::open(fmt::format("/proc/self/fd/{}", fd.raw()),
                                        O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
  if (!readable) return std::nullopt;
  const std::vector<uint32_t> id = read_build_id(readable.value());
  if (id.empty()) return std::nullopt;
  return std::equal(id.begin(), id.end(), reg.build_id().begin(), reg.build_id().end());
}

}  // namespace

Result<void> record_path(const TaskView& task, const FdView& view, FileId id,
                         pb::reg_file_entry& reg) {
  const Location location = TRY(locate(view));
  reg.set_id(id.value);
  reg.set_flags(view.flags);
  reg.set_pos(is_kernel_log(view) ? kNoPosition : view.pos);
  reg.set_name(location.name);
  reg.set_mode(view.st.st_mode);
  TRY(record_contents(task, view, reg));
  if (location.kind == Location::Kind::named || location.kind == Location::Kind::hidden) return {};
  return capture_removed(task, view, location, reg);
}

Result<void> validate_file(const Restore& restore, FdRef fd, const struct stat& st,
                           const pb::reg_file_entry& reg) {
  const mode_t compared = restore.options.skip_file_rwx_check ? ~mode_t{0777} : ~mode_t{0};
  if (reg.has_mode() && (st.st_mode & S_IFMT) != (reg.mode() & S_IFMT))
    return changed(reg, "it is a file of another type");
  if (reg.has_mode() && (st.st_mode & compared) != (reg.mode() & compared))
    return Error::of(ErrorKind::os,
                     fmt::format("{} has changed since the dump: its mode is {:o}, and was {:o}",
                                 reg.name(), st.st_mode, reg.mode()))
        .hint("give it its old mode, or use --skip-file-rwx-check");
  if (!S_ISREG(st.st_mode)) return {};
  const std::optional<bool> same = same_build(restore, fd, reg);
  if (same && !*same) return changed(reg, "it has another build-id");
  if (same) return {};
  if (reg.has_size() && static_cast<uint64_t>(st.st_size) != reg.size())
    return changed(reg, fmt::format("it has {} bytes, and had {}", st.st_size, reg.size()));
  return {};
}

Result<Fd> open_below_root(const Restore& restore, const std::string& name, int flags) {
  // Not to wait for the other end of a FIFO that stands in the place of the file.
  const bool path_only = (flags & O_PATH) != 0;
  sys::OpenHow how{.flags = static_cast<uint64_t>(flags | O_CLOEXEC)};
  if (!path_only) how.flags |= O_NONBLOCK | O_NOCTTY;
  if (!restore.options.root.empty()) how.resolve = RESOLVE_IN_ROOT;
  const size_t start = name.find_first_not_of('/');
  Fd fd =
      TRY(sys::openat2(restore.root, start == std::string::npos ? "." : name.c_str() + start, how));
  if (!path_only && (flags & O_NONBLOCK) == 0) TRY(sys::set_status_flags(fd, flags));
  return fd;
}

const FileKind regular_kind = {
    .name = "regular",
    .type = pb::REG,
    .matches = matches,
    .examine = examine,
    .capture = capture,
    .restore = restore,
    .owner = [](const pb::file_entry& entry) -> const pb::fown_entry& {
      return entry.reg().fown();
    },
    .mutable_owner = [](pb::file_entry& entry) { return entry.mutable_reg()->mutable_fown(); },
};

}  // namespace cryo
