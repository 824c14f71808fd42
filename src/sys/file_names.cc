// Names, ownership, times, extended attributes and handles of files.
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "sys/call.h"
#include "sys/file.h"

namespace cryo::sys {
namespace {

std::string at(FdRef dir, const char* path) {
  const std::string where = dir.raw() == AT_FDCWD ? "AT_FDCWD" : fmt::format("{}", dir.raw());
  return path == nullptr ? where : fmt::format("{}, \"{}\"", where, path);
}

std::string at(FdRef dir, PathRef path) { return at(dir, path.c_str()); }

}  // namespace

Result<void> linkat(FdRef from_dir, PathRef from, FdRef to_dir, PathRef to, int flags) {
  return checked_void(::linkat(from_dir.raw(), from.c_str(), to_dir.raw(), to.c_str(), flags), [&] {
    return fmt::format("linkat({}, {}, {:#x})", at(from_dir, from), at(to_dir, to), flags);
  });
}

Result<void> symlinkat(PathRef target, FdRef dir, PathRef path) {
  return checked_void(::symlinkat(target.c_str(), dir.raw(), path.c_str()), [&] {
    return fmt::format("symlinkat(\"{}\", {})", target.c_str(), at(dir, path));
  });
}

Result<void> unlinkat(FdRef dir, PathRef path, int flags) {
  return checked_void(::unlinkat(dir.raw(), path.c_str(), flags),
                      [&] { return fmt::format("unlinkat({}, {:#x})", at(dir, path), flags); });
}

Result<void> renameat2(FdRef from_dir, PathRef from, FdRef to_dir, PathRef to, unsigned flags) {
  return checked_void(
      ::syscall(SYS_renameat2, from_dir.raw(), from.c_str(), to_dir.raw(), to.c_str(), flags), [&] {
        return fmt::format("renameat2({}, {}, {:#x})", at(from_dir, from), at(to_dir, to), flags);
      });
}

Result<void> mkdirat(FdRef dir, PathRef path, mode_t mode) {
  return checked_void(::mkdirat(dir.raw(), path.c_str(), mode),
                      [&] { return fmt::format("mkdirat({}, {:#o})", at(dir, path), mode); });
}

Result<void> mknodat(FdRef dir, PathRef path, mode_t mode, dev_t device) {
  return checked_void(::mknodat(dir.raw(), path.c_str(), mode, device), [&] {
    return fmt::format("mknodat({}, {:#o}, {:#x})", at(dir, path), mode, device);
  });
}

Result<void> fchown(FdRef fd, uid_t uid, gid_t gid) {
  return checked_void(::fchown(fd.raw(), uid, gid),
                      [&] { return fmt::format("fchown({}, {}, {})", fd.raw(), uid, gid); });
}

Result<void> fchownat(FdRef dir, PathRef path, uid_t uid, gid_t gid, int flags) {
  return checked_void(::fchownat(dir.raw(), path.c_str(), uid, gid, flags), [&] {
    return fmt::format("fchownat({}, {}, {}, {:#x})", at(dir, path), uid, gid, flags);
  });
}

Result<void> fchmod(FdRef fd, mode_t mode) {
  return checked_void(::fchmod(fd.raw(), mode),
                      [&] { return fmt::format("fchmod({}, {:#o})", fd.raw(), mode); });
}

Result<void> fchmodat(FdRef dir, PathRef path, mode_t mode) {
  return checked_void(::syscall(SYS_fchmodat, dir.raw(), path.c_str(), mode),
                      [&] { return fmt::format("fchmodat({}, {:#o})", at(dir, path), mode); });
}

Result<void> utimensat(FdRef dir, const char* path, const timespec& access, const timespec& modify,
                       int flags) {
  const timespec times[2] = {access, modify};
  return checked_void(::syscall(SYS_utimensat, dir.raw(), path, times, flags),
                      [&] { return fmt::format("utimensat({}, {:#x})", at(dir, path), flags); });
}

Result<void> chdir(PathRef path) {
  return checked_void(::chdir(path.c_str()),
                      [&] { return fmt::format("chdir(\"{}\")", path.c_str()); });
}

Result<void> fchdir(FdRef fd) {
  return checked_void(::fchdir(fd.raw()), [&] { return fmt::format("fchdir({})", fd.raw()); });
}

Result<void> chroot(PathRef path) {
  return checked_void(::chroot(path.c_str()),
                      [&] { return fmt::format("chroot(\"{}\")", path.c_str()); });
}

// --- extended attributes

namespace {
// Asks for the size first; a value that grows in between (ERANGE) is asked for again.
template <class Get>
Result<std::string> sized(const std::string& what, Get&& get) {
  while (true) {
    const ssize_t size = get(nullptr, 0);
    if (size < 0) {
      const int err = errno;
      return Error::os(err, what);
    }
    std::string out(static_cast<size_t>(size), '\0');
    const ssize_t got = size == 0 ? 0 : get(out.data(), out.size());
    if (got < 0 && errno != ERANGE) {
      const int err = errno;
      return Error::os(err, what);
    }
    if (got < 0) continue;
    out.resize(static_cast<size_t>(got));
    return out;
  }
}
}  // namespace

Result<std::vector<std::string>> flistxattr(FdRef fd) {
  const std::string names =
      TRY(sized(fmt::format("flistxattr({})", fd.raw()),
                [&](char* out, size_t size) { return ::flistxattr(fd.raw(), out, size); }));
  std::vector<std::string> list;
  for (size_t from = 0; from < names.size();) {
    const size_t end = std::min(names.find('\0', from), names.size());
    list.push_back(names.substr(from, end - from));
    from = end + 1;
  }
  return list;
}

Result<std::string> fgetxattr(FdRef fd, PathRef name) {
  return sized(
      fmt::format("fgetxattr({}, {})", fd.raw(), name.c_str()),
      [&](char* out, size_t size) { return ::fgetxattr(fd.raw(), name.c_str(), out, size); });
}

Result<void> fsetxattr(FdRef fd, PathRef name, std::string_view value, int flags) {
  return checked_void(::fsetxattr(fd.raw(), name.c_str(), value.data(), value.size(), flags), [&] {
    return fmt::format("fsetxattr({}, {}, {} bytes, {:#x})", fd.raw(), name.c_str(), value.size(),
                       flags);
  });
}

// --- handles

namespace {
constexpr size_t kMostHandleBytes = 128;  // MAX_HANDLE_SZ
struct HandleBuffer {
  uint32_t bytes = kMostHandleBytes;
  int32_t type = 0;
  char data[kMostHandleBytes] = {};
};
}  // namespace

Result<FileHandle> name_to_handle_at(FdRef dir, PathRef path, int flags) {
  HandleBuffer buffer;
  FileHandle handle;
  TRY(checked_void(
      ::syscall(SYS_name_to_handle_at, dir.raw(), path.c_str(), &buffer, &handle.mount_id, flags),
      [&] { return fmt::format("name_to_handle_at({}, {:#x})", at(dir, path), flags); }));
  handle.type = buffer.type;
  handle.bytes.assign(static_cast<const char*>(buffer.data), buffer.bytes);
  return handle;
}

Result<Fd> open_by_handle_at(FdRef mount, const FileHandle& handle, int flags) {
  HandleBuffer buffer;
  if (handle.bytes.size() > kMostHandleBytes) {
    return Error::of(ErrorKind::bad_image,
                     fmt::format("a file handle of {} bytes", handle.bytes.size()));
  }
  buffer.bytes = static_cast<uint32_t>(handle.bytes.size());
  buffer.type = handle.type;
  std::memcpy(static_cast<char*>(buffer.data), handle.bytes.data(), handle.bytes.size());
  return checked_fd(
      static_cast<int>(::syscall(SYS_open_by_handle_at, mount.raw(), &buffer, flags | O_CLOEXEC)),
      [&] {
        return fmt::format("open_by_handle_at({}, type {}, {:#o})", mount.raw(), handle.type,
                           flags);
      });
}

}  // namespace cryo::sys
