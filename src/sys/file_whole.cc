// The forms that loop: whole transfers, whole files, whole directories.
#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "sys/call.h"
#include "sys/file.h"

namespace cryo::sys {
namespace {

// Goes on with `step(done)` until `size` bytes are transferred. EINTR starts that step again.
template <class Step>
Result<void> transfer_all(const char* name, FdRef fd, size_t size, Step&& step) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = step(done);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0) {
      return Error::of(ErrorKind::os, fmt::format("{}({}): end of file after {} of {} bytes", name,
                                                  fd.raw(), done, size));
    } else if (errno != EINTR) {
      const int err = errno;
      return Error::os(err, fmt::format("{}({}, {} bytes, {} done)", name, fd.raw(), size, done));
    }
  }
  return {};
}

}  // namespace

Result<void> read_all(FdRef fd, void* out, size_t size) {
  char* to = static_cast<char*>(out);
  return transfer_all("read", fd, size,
                      [&](size_t done) { return ::read(fd.raw(), to + done, size - done); });
}

Result<void> pread_all(FdRef fd, void* out, size_t size, uint64_t offset) {
  char* to = static_cast<char*>(out);
  return transfer_all("pread", fd, size, [&](size_t done) {
    return ::pread(fd.raw(), to + done, size - done, static_cast<off_t>(offset + done));
  });
}

Result<void> write_all(FdRef fd, const void* data, size_t size) {
  const char* from = static_cast<const char*>(data);
  return transfer_all("write", fd, size,
                      [&](size_t done) { return ::write(fd.raw(), from + done, size - done); });
}

Result<void> pwrite_all(FdRef fd, const void* data, size_t size, uint64_t offset) {
  const char* from = static_cast<const char*>(data);
  return transfer_all("pwrite", fd, size, [&](size_t done) {
    return ::pwrite(fd.raw(), from + done, size - done, static_cast<off_t>(offset + done));
  });
}

Result<void> read_to_end(FdRef fd, std::string& out) {
  // The files of /proc have no size to go by. Growing by doubling keeps the cost linear.
  constexpr size_t kLeast = 4096;
  size_t filled = out.size();
  while (true) {
    if (out.size() - filled < kLeast)
      out.resize(std::max({filled + kLeast, filled * 2, out.capacity()}));
    const ssize_t n = ::read(fd.raw(), out.data() + filled, out.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int err = errno;
      return Error::os(err, fmt::format("read({}) to the end, {} done", fd.raw(), filled));
    }
    if (n == 0) break;
    filled += static_cast<size_t>(n);
  }
  out.resize(filled);
  return {};
}

Result<std::string> read_to_end(FdRef fd) {
  std::string out;
  TRY(read_to_end(fd, out));
  return out;
}

Result<std::string> read_file(FdRef dir, PathRef path) {
  const Fd fd = TRY(openat(dir, path, O_RDONLY));
  return TRY_IN(read_to_end(fd), "reading {}", path.c_str());
}

Result<void> write_file(FdRef dir, PathRef path, std::string_view text) {
  const Fd fd = TRY(openat(dir, path, O_WRONLY));
  // One write: the kernel's attribute files take a value in a single call.
  const size_t n =
      TRY_IN(write(fd, text.data(), text.size()), "writing \"{}\" to {}", text, path.c_str());
  if (n != text.size()) {
    return Error::of(ErrorKind::os,
                     fmt::format("{} of {} bytes written to {}", n, text.size(), path.c_str()));
  }
  return {};
}

Result<std::vector<DirEntry>> list_directory(FdRef dir) {
  std::vector<DirEntry> entries;
  alignas(dirent64) char buffer[32 * 1024];
  while (true) {
    const long n = ::syscall(SYS_getdents64, dir.raw(), buffer, sizeof buffer);
    if (n < 0) {
      const int err = errno;
      return Error::os(err, fmt::format("getdents64({})", dir.raw()));
    }
    if (n == 0) return entries;
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      at += entry->d_reclen;
      const char* name = static_cast<const char*>(entry->d_name);
      if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
      entries.push_back({entry->d_ino, entry->d_type, name});
    }
  }
}

Result<std::vector<DirEntry>> list_directory(FdRef dir, PathRef path) {
  const Fd fd = TRY(openat(dir, path, O_RDONLY | O_DIRECTORY));
  return TRY_IN(list_directory(fd), "listing {}", path.c_str());
}

Result<std::vector<int32_t>> list_numbers(FdRef dir, PathRef path) {
  const std::vector<DirEntry> entries = TRY(list_directory(dir, path));
  std::vector<int32_t> numbers;
  numbers.reserve(entries.size());
  for (const DirEntry& entry : entries) {
    int32_t number = 0;
    const char* end = entry.name.data() + entry.name.size();
    const std::from_chars_result parsed = std::from_chars(entry.name.data(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end && number >= 0) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace cryo::sys
