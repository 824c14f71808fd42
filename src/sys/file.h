// Files, directories and descriptors. Every descriptor made here is close-on-exec.
//
// Plain names (read, pwrite) are one call of the kernel: short counts and EINTR are the caller's.
// The *_all forms go on until everything is transferred.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "sys/path.h"

namespace cryo::sys {

// --- opening and duplicating
struct OpenHow {  // struct open_how
  uint64_t flags = 0;
  uint64_t mode = 0;
  uint64_t resolve = 0;  // RESOLVE_* of linux/openat2.h
};
static_assert(sizeof(OpenHow) == 24);

inline FdRef cwd() { return FdRef(AT_FDCWD); }
Result<Fd> openat(FdRef dir, PathRef path, int flags, mode_t mode = 0);
Result<Fd> openat2(FdRef dir, PathRef path, const OpenHow& how);
inline Result<Fd> open(PathRef path, int flags, mode_t mode = 0) {
  return openat(cwd(), path, flags, mode);
}
Result<Fd> dup(FdRef fd, int at_least = 0);  // F_DUPFD_CLOEXEC
Result<Fd> dup3(FdRef fd, int number,
                int flags = 0);  // the result owns `number`; flags: O_CLOEXEC or 0
Result<void> close_range(unsigned first, unsigned last, unsigned flags = 0);
struct Pipe {
  Fd read;
  Fd write;
};
Result<Pipe> pipe2(int flags = 0);

// --- data
Result<size_t> read(FdRef fd, void* out, size_t size);
Result<size_t> write(FdRef fd, const void* data, size_t size);
Result<size_t> pread(FdRef fd, void* out, size_t size, uint64_t offset);
Result<size_t> pwrite(FdRef fd, const void* data, size_t size, uint64_t offset);
Result<size_t> preadv(FdRef fd, std::span<const iovec> to, uint64_t offset);
Result<size_t> pwritev(FdRef fd, std::span<const iovec> from, uint64_t offset);
Result<size_t> writev(FdRef fd, std::span<const iovec> from);

// Exactly `size` bytes; an end of file before that is an error.
Result<void> read_all(FdRef fd, void* out, size_t size);
Result<void> pread_all(FdRef fd, void* out, size_t size, uint64_t offset);
Result<void> write_all(FdRef fd, const void* data, size_t size);
Result<void> pwrite_all(FdRef fd, const void* data, size_t size, uint64_t offset);
inline Result<void> write_all(FdRef fd, std::string_view text) {
  return write_all(fd, text.data(), text.size());
}
// Appends everything up to the end of the file; the buffer's capacity is reused.
Result<void> read_to_end(FdRef fd, std::string& out);
Result<std::string> read_to_end(FdRef fd);
// The whole file below `dir`, and a whole write to an existing one (procfs, sysfs, cgroupfs).
Result<std::string> read_file(FdRef dir, PathRef path);
Result<void> write_file(FdRef dir, PathRef path, std::string_view text);

template <class T>
Result<T> read_value(FdRef fd) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value{};
  TRY(read_all(fd, &value, sizeof value));
  return value;
}
template <class T>
Result<void> write_value(FdRef fd, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return write_all(fd, &value, sizeof value);
}

Result<uint64_t> lseek(FdRef fd, int64_t offset, int whence);
// The first data or hole at or after `offset` (SEEK_DATA, SEEK_HOLE); nothing when there is none
// (ENXIO).
Result<std::optional<uint64_t>> seek_data(FdRef fd, uint64_t offset);
Result<std::optional<uint64_t>> seek_hole(FdRef fd, uint64_t offset);
Result<void> ftruncate(FdRef fd, uint64_t size);
Result<void> fallocate(FdRef fd, int mode, uint64_t offset, uint64_t size);
Result<void> fsync(FdRef fd);
Result<void> fdatasync(FdRef fd);
Result<void> syncfs(FdRef fd);
Result<size_t> copy_file_range(FdRef from, uint64_t* from_offset, FdRef to, uint64_t* to_offset,
                               size_t size);
Result<size_t> sendfile(FdRef to, FdRef from, uint64_t* offset, size_t size);
Result<size_t> splice(FdRef from, FdRef to, size_t size, unsigned flags);
Result<size_t> tee(FdRef from, FdRef to, size_t size, unsigned flags);

// --- what a descriptor or name is
Result<struct stat> fstat(FdRef fd);
Result<struct stat> fstatat(FdRef dir, PathRef path, int flags = AT_SYMLINK_NOFOLLOW);
Result<struct statx> statx(FdRef dir, PathRef path, int flags, unsigned mask);
Result<struct statfs> fstatfs(FdRef fd);
Result<struct statfs> statfs(PathRef path);
Result<std::string> readlinkat(FdRef dir, PathRef path);
Result<bool> exists(FdRef dir, PathRef path);  // the name itself, not what a link points to
Result<void> faccessat(FdRef dir, PathRef path, int mode, int flags = 0);

// --- fcntl
Result<int> fcntl(FdRef fd, int command, long argument = 0);
Result<int> get_status_flags(FdRef fd);
Result<void> set_status_flags(FdRef fd, int flags);
Result<bool> get_cloexec(FdRef fd);
Result<void> set_cloexec(FdRef fd, bool on);
struct FdOwner {  // struct f_owner_ex
  int type = 0;   // F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP
  int pid = 0;
};
Result<FdOwner> get_owner(FdRef fd);
Result<void> set_owner(FdRef fd, const FdOwner& owner);
struct OwnerUids {
  uint32_t uid = 0;
  uint32_t euid = 0;
};
Result<OwnerUids> get_owner_uids(FdRef fd);  // needs CONFIG_CHECKPOINT_RESTORE
Result<int> get_signal(FdRef fd);
Result<void> set_signal(FdRef fd, int signal);
Result<void> set_lock(FdRef fd, int command,
                      struct flock& lock);  // F_SETLK, F_OFD_SETLK, F_GETLK...
Result<void> flock(FdRef fd, int operation);
Result<int> ioctl(FdRef fd, unsigned long request, void* argument);
Result<int> ioctl(FdRef fd, unsigned long request, unsigned long argument = 0);

// --- names
Result<void> linkat(FdRef from_dir, PathRef from, FdRef to_dir, PathRef to, int flags = 0);
Result<void> symlinkat(PathRef target, FdRef dir, PathRef path);
Result<void> unlinkat(FdRef dir, PathRef path, int flags = 0);
Result<void> renameat2(FdRef from_dir, PathRef from, FdRef to_dir, PathRef to, unsigned flags = 0);
Result<void> mkdirat(FdRef dir, PathRef path, mode_t mode);
Result<void> mknodat(FdRef dir, PathRef path, mode_t mode, dev_t device = 0);
Result<void> fchown(FdRef fd, uid_t uid, gid_t gid);
Result<void> fchownat(FdRef dir, PathRef path, uid_t uid, gid_t gid,
                      int flags = AT_SYMLINK_NOFOLLOW);
Result<void> fchmod(FdRef fd, mode_t mode);
Result<void> fchmodat(FdRef dir, PathRef path, mode_t mode);
// Of `fd` itself when `path` is null.
Result<void> utimensat(FdRef dir, const char* path, const timespec& access, const timespec& modify,
                       int flags = 0);
Result<void> chdir(PathRef path);
Result<void> fchdir(FdRef fd);
Result<void> chroot(PathRef path);

// --- extended attributes
Result<std::vector<std::string>> flistxattr(FdRef fd);
Result<std::string> fgetxattr(FdRef fd, PathRef name);
Result<void> fsetxattr(FdRef fd, PathRef name, std::string_view value, int flags = 0);

// --- directories
struct DirEntry {
  uint64_t inode = 0;
  uint8_t type = 0;  // DT_*
  std::string name;
};
// Without "." and ".."; from the descriptor's present position on.
Result<std::vector<DirEntry>> list_directory(FdRef dir);
Result<std::vector<DirEntry>> list_directory(FdRef dir, PathRef path);
// The names that are decimal numbers, ascending: /proc, /proc/PID/fd, /proc/PID/task.
Result<std::vector<int32_t>> list_numbers(FdRef dir, PathRef path);

// --- file handles (name_to_handle_at, open_by_handle_at)
struct FileHandle {
  int32_t type = 0;
  int32_t mount_id = 0;
  std::string bytes;
};
Result<FileHandle> name_to_handle_at(FdRef dir, PathRef path, int flags);
Result<Fd> open_by_handle_at(FdRef mount, const FileHandle& handle, int flags);

}  // namespace cryo::sys
