#include "sys/file.h"

#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "sys/call.h"

namespace cryo::sys {
namespace {

// AT_FDCWD reads better by name.
std::string at(FdRef dir) {
  return dir.raw() == AT_FDCWD ? "AT_FDCWD" : fmt::format("{}", dir.raw());
}

std::string at(FdRef dir, PathRef path) { return fmt::format("{}, \"{}\"", at(dir), path.c_str()); }

size_t size_of(ssize_t n) { return static_cast<size_t>(n); }
off_t off_of(uint64_t offset) { return static_cast<off_t>(offset); }

template <class Describe>
Result<size_t> transferred(ssize_t n, Describe&& describe, int line = __builtin_LINE()) {
  if (n < 0) [[unlikely]] {
    const int err = errno;
    return Error::os(err, describe(), __FILE__, line);
  }
  return size_of(n);
}

}  // namespace

// --- opening and duplicating

Result<Fd> openat(FdRef dir, PathRef path, int flags, mode_t mode) {
  return checked_fd(::openat(dir.raw(), path.c_str(), flags | O_CLOEXEC, mode), [&] {
    return fmt::format("openat({}, {:#o}, {:#o})", at(dir, path), flags, mode);
  });
}

Result<Fd> openat2(FdRef dir, PathRef path, const OpenHow& how) {
  OpenHow with_cloexec = how;
  with_cloexec.flags |= O_CLOEXEC;
  const long fd =
      ::syscall(SYS_openat2, dir.raw(), path.c_str(), &with_cloexec, sizeof with_cloexec);
  return checked_fd(static_cast<int>(fd), [&] {
    return fmt::format("openat2({}, {:#o}, {:#o}, resolve {:#x})", at(dir, path), how.flags,
                       how.mode, how.resolve);
  });
}

Result<Fd> dup(FdRef fd, int at_least) {
  return checked_fd(::fcntl(fd.raw(), F_DUPFD_CLOEXEC, at_least), [&] {
    return fmt::format("fcntl({}, F_DUPFD_CLOEXEC, {})", fd.raw(), at_least);
  });
}

Result<Fd> dup3(FdRef fd, int number, int flags) {
  return checked_fd(::dup3(fd.raw(), number, flags),
                    [&] { return fmt::format("dup3({}, {}, {:#o})", fd.raw(), number, flags); });
}

Result<void> close_range(unsigned first, unsigned last, unsigned flags) {
  return checked_void(::syscall(SYS_close_range, first, last, flags),
                      [&] { return fmt::format("close_range({}, {}, {})", first, last, flags); });
}

Result<Pipe> pipe2(int flags) {
  std::array<int, 2> ends{};
  TRY(checked_void(::pipe2(ends.data(), flags | O_CLOEXEC),
                   [&] { return fmt::format("pipe2({:#o})", flags); }));
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// --- data

Result<size_t> read(FdRef fd, void* out, size_t size) {
  return transferred(::read(fd.raw(), out, size),
                     [&] { return fmt::format("read({}, {} bytes)", fd.raw(), size); });
}

Result<size_t> write(FdRef fd, const void* data, size_t size) {
  return transferred(::write(fd.raw(), data, size),
                     [&] { return fmt::format("write({}, {} bytes)", fd.raw(), size); });
}

Result<size_t> pread(FdRef fd, void* out, size_t size, uint64_t offset) {
  return transferred(::pread(fd.raw(), out, size, off_of(offset)), [&] {
    return fmt::format("pread({}, {} bytes at {:#x})", fd.raw(), size, offset);
  });
}

Result<size_t> pwrite(FdRef fd, const void* data, size_t size, uint64_t offset) {
  return transferred(::pwrite(fd.raw(), data, size, off_of(offset)), [&] {
    return fmt::format("pwrite({}, {} bytes at {:#x})", fd.raw(), size, offset);
  });
}

Result<size_t> preadv(FdRef fd, std::span<const iovec> to, uint64_t offset) {
  return transferred(
      ::preadv(fd.raw(), to.data(), static_cast<int>(to.size()), off_of(offset)),
      [&] { return fmt::format("preadv({}, {} pieces at {:#x})", fd.raw(), to.size(), offset); });
}

Result<size_t> pwritev(FdRef fd, std::span<const iovec> from, uint64_t offset) {
  return transferred(
      ::pwritev(fd.raw(), from.data(), static_cast<int>(from.size()), off_of(offset)), [&] {
        return fmt::format("pwritev({}, {} pieces at {:#x})", fd.raw(), from.size(), offset);
      });
}

Result<size_t> writev(FdRef fd, std::span<const iovec> from) {
  return transferred(::writev(fd.raw(), from.data(), static_cast<int>(from.size())),
                     [&] { return fmt::format("writev({}, {} pieces)", fd.raw(), from.size()); });
}

Result<uint64_t> lseek(FdRef fd, int64_t offset, int whence) {
  const off_t at = TRY(checked(::lseek(fd.raw(), offset, whence), [&] {
    return fmt::format("lseek({}, {}, {})", fd.raw(), offset, whence);
  }));
  return static_cast<uint64_t>(at);
}

namespace {
Result<std::optional<uint64_t>> seek_extent(FdRef fd, uint64_t offset, int whence) {
  const off_t at = ::lseek(fd.raw(), off_of(offset), whence);
  if (at >= 0) return std::optional<uint64_t>(static_cast<uint64_t>(at));
  const int err = errno;
  if (err == ENXIO) return std::optional<uint64_t>();
  return Error::os(err, fmt::format("lseek({}, {}, {})", fd.raw(), offset,
                                    whence == SEEK_DATA ? "SEEK_DATA" : "SEEK_HOLE"));
}
}  // namespace

Result<std::optional<uint64_t>> seek_data(FdRef fd, uint64_t offset) {
  return seek_extent(fd, offset, SEEK_DATA);
}
Result<std::optional<uint64_t>> seek_hole(FdRef fd, uint64_t offset) {
  return seek_extent(fd, offset, SEEK_HOLE);
}

Result<void> ftruncate(FdRef fd, uint64_t size) {
  return checked_void(::ftruncate(fd.raw(), off_of(size)),
                      [&] { return fmt::format("ftruncate({}, {})", fd.raw(), size); });
}

Result<void> fallocate(FdRef fd, int mode, uint64_t offset, uint64_t size) {
  return checked_void(::fallocate(fd.raw(), mode, off_of(offset), off_of(size)), [&] {
    return fmt::format("fallocate({}, {:#x}, {}, {})", fd.raw(), mode, offset, size);
  });
}

Result<void> fsync(FdRef fd) {
  return checked_void(::fsync(fd.raw()), [&] { return fmt::format("fsync({})", fd.raw()); });
}

Result<void> fdatasync(FdRef fd) {
  return checked_void(::fdatasync(fd.raw()),
                      [&] { return fmt::format("fdatasync({})", fd.raw()); });
}

Result<void> syncfs(FdRef fd) {
  return checked_void(::syncfs(fd.raw()), [&] { return fmt::format("syncfs({})", fd.raw()); });
}

Result<size_t> copy_file_range(FdRef from, uint64_t* from_offset, FdRef to, uint64_t* to_offset,
                               size_t size) {
  return transferred(
      ::syscall(SYS_copy_file_range, from.raw(), from_offset, to.raw(), to_offset, size, 0U), [&] {
        return fmt::format("copy_file_range({} to {}, {} bytes)", from.raw(), to.raw(), size);
      });
}

Result<size_t> sendfile(FdRef to, FdRef from, uint64_t* offset, size_t size) {
  return transferred(::syscall(SYS_sendfile, to.raw(), from.raw(), offset, size), [&] {
    return fmt::format("sendfile({} to {}, {} bytes)", from.raw(), to.raw(), size);
  });
}

Result<size_t> splice(FdRef from, FdRef to, size_t size, unsigned flags) {
  return transferred(::splice(from.raw(), nullptr, to.raw(), nullptr, size, flags), [&] {
    return fmt::format("splice({} to {}, {} bytes, {:#x})", from.raw(), to.raw(), size, flags);
  });
}

Result<size_t> tee(FdRef from, FdRef to, size_t size, unsigned flags) {
  return transferred(::tee(from.raw(), to.raw(), size, flags), [&] {
    return fmt::format("tee({} to {}, {} bytes, {:#x})", from.raw(), to.raw(), size, flags);
  });
}

// --- what a descriptor or name is

Result<struct stat> fstat(FdRef fd) {
  struct stat out {};
  TRY(checked_void(::fstat(fd.raw(), &out), [&] { return fmt::format("fstat({})", fd.raw()); }));
  return out;
}

Result<struct stat> fstatat(FdRef dir, PathRef path, int flags) {
  struct stat out {};
  TRY(checked_void(::fstatat(dir.raw(), path.c_str(), &out, flags),
                   [&] { return fmt::format("fstatat({}, {:#x})", at(dir, path), flags); }));
  return out;
}

Result<struct statx> statx(FdRef dir, PathRef path, int flags, unsigned mask) {
  struct statx out {};
  TRY(checked_void(::statx(dir.raw(), path.c_str(), flags, mask, &out), [&] {
    return fmt::format("statx({}, {:#x}, {:#x})", at(dir, path), flags, mask);
  }));
  return out;
}

Result<struct statfs> fstatfs(FdRef fd) {
  struct statfs out {};
  TRY(checked_void(::fstatfs(fd.raw(), &out),
                   [&] { return fmt::format("fstatfs({})", fd.raw()); }));
  return out;
}

Result<struct statfs> statfs(PathRef path) {
  struct statfs out {};
  TRY(checked_void(::statfs(path.c_str(), &out),
                   [&] { return fmt::format("statfs(\"{}\")", path.c_str()); }));
  return out;
}

Result<std::string> readlinkat(FdRef dir, PathRef path) {
  // d_path never gives more than a page; the loop is for file systems with longer links.
  std::string out(256, '\0');
  while (true) {
    const size_t n = TRY(transferred(::readlinkat(dir.raw(), path.c_str(), out.data(), out.size()),
                                     [&] { return fmt::format("readlinkat({})", at(dir, path)); }));
    if (n < out.size()) {
      out.resize(n);
      return out;
    }
    out.resize(out.size() * 4);
  }
}

Result<bool> exists(FdRef dir, PathRef path) {
  struct stat out {};
  if (::fstatat(dir.raw(), path.c_str(), &out, AT_SYMLINK_NOFOLLOW) == 0) return true;
  const int err = errno;
  if (err == ENOENT || err == ENOTDIR) return false;
  return Error::os(err, fmt::format("fstatat({})", at(dir, path)));
}

Result<void> faccessat(FdRef dir, PathRef path, int mode, int flags) {
  return checked_void(::syscall(SYS_faccessat2, dir.raw(), path.c_str(), mode, flags), [&] {
    return fmt::format("faccessat2({}, {:#o}, {:#x})", at(dir, path), mode, flags);
  });
}

// --- fcntl

Result<int> fcntl(FdRef fd, int command, long argument) {
  return checked(::fcntl(fd.raw(), command, argument),
                 [&] { return fmt::format("fcntl({}, {}, {:#x})", fd.raw(), command, argument); });
}

Result<int> get_status_flags(FdRef fd) { return fcntl(fd, F_GETFL); }
Result<void> set_status_flags(FdRef fd, int flags) {
  TRY(fcntl(fd, F_SETFL, flags));
  return {};
}

Result<bool> get_cloexec(FdRef fd) {
  const int flags = TRY(fcntl(fd, F_GETFD));
  return (flags & FD_CLOEXEC) != 0;
}

Result<void> set_cloexec(FdRef fd, bool on) {
  TRY(fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0));
  return {};
}

Result<FdOwner> get_owner(FdRef fd) {
  FdOwner owner;
  TRY(checked_void(::fcntl(fd.raw(), F_GETOWN_EX, &owner),
                   [&] { return fmt::format("fcntl({}, F_GETOWN_EX)", fd.raw()); }));
  return owner;
}

Result<void> set_owner(FdRef fd, const FdOwner& owner) {
  return checked_void(::fcntl(fd.raw(), F_SETOWN_EX, &owner), [&] {
    return fmt::format("fcntl({}, F_SETOWN_EX, type {}, {})", fd.raw(), owner.type, owner.pid);
  });
}

Result<OwnerUids> get_owner_uids(FdRef fd) {
  constexpr int kGetOwnerUids =
      17;  // F_GETOWNER_UIDS: asm-generic/fcntl.h hides it from libc users
  OwnerUids uids;
  TRY(checked_void(::syscall(SYS_fcntl, fd.raw(), kGetOwnerUids, &uids),
                   [&] { return fmt::format("fcntl({}, F_GETOWNER_UIDS)", fd.raw()); }));
  return uids;
}

Result<int> get_signal(FdRef fd) { return fcntl(fd, F_GETSIG); }
Result<void> set_signal(FdRef fd, int signal) {
  TRY(fcntl(fd, F_SETSIG, signal));
  return {};
}

Result<void> set_lock(FdRef fd, int command, struct flock& lock) {
  return checked_void(::fcntl(fd.raw(), command, &lock), [&] {
    return fmt::format("fcntl({}, {}, lock type {} from {} for {})", fd.raw(), command, lock.l_type,
                       lock.l_start, lock.l_len);
  });
}

Result<void> flock(FdRef fd, int operation) {
  return checked_void(::flock(fd.raw(), operation),
                      [&] { return fmt::format("flock({}, {:#x})", fd.raw(), operation); });
}

Result<int> ioctl(FdRef fd, unsigned long request, void* argument) {
  return checked(::ioctl(fd.raw(), request, argument),
                 [&] { return fmt::format("ioctl({}, {:#x})", fd.raw(), request); });
}

Result<int> ioctl(FdRef fd, unsigned long request, unsigned long argument) {
  return checked(::ioctl(fd.raw(), request, argument), [&] {
    return fmt::format("ioctl({}, {:#x}, {:#x})", fd.raw(), request, argument);
  });
}

}  // namespace cryo::sys
