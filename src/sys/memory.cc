#include "sys/memory.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "sys/call.h"
#include "sys/uapi.h"

namespace cryo::sys {

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    address_ = std::exchange(other.address_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Result<Mapping> Mapping::make(size_t size, int prot, int flags, FdRef fd, uint64_t offset,
                              void* hint) {
  void* address = ::mmap(hint, size, prot, flags, fd.raw(), static_cast<off_t>(offset));
  if (address == MAP_FAILED) {
    const int err = errno;
    return Error::os(err, fmt::format("mmap({}, {} bytes, {:#x}, {:#x}, fd {}, {:#x})",
                                      fmt::ptr(hint), size, prot, flags, fd.raw(), offset));
  }
  return Mapping(address, size);
}

void Mapping::reset() {
  if (address_ != nullptr)
    (void)::munmap(std::exchange(address_, nullptr), std::exchange(size_, 0));
}

Result<void> munmap(void* address, size_t size) {
  return checked_void(::munmap(address, size),
                      [&] { return fmt::format("munmap({}, {:#x})", fmt::ptr(address), size); });
}

Result<void> mprotect(void* address, size_t size, int prot) {
  return checked_void(::mprotect(address, size, prot), [&] {
    return fmt::format("mprotect({}, {:#x}, {:#x})", fmt::ptr(address), size, prot);
  });
}

Result<void> madvise(void* address, size_t size, int advice) {
  return checked_void(::madvise(address, size, advice), [&] {
    return fmt::format("madvise({}, {:#x}, {})", fmt::ptr(address), size, advice);
  });
}

Result<void> msync(void* address, size_t size, int flags) {
  return checked_void(::msync(address, size, flags), [&] {
    return fmt::format("msync({}, {:#x}, {:#x})", fmt::ptr(address), size, flags);
  });
}

Result<void*> mremap(void* from, size_t from_size, size_t size, int flags, void* to) {
  void* address = ::mremap(from, from_size, size, flags, to);
  if (address == MAP_FAILED) {
    const int err = errno;
    return Error::os(err, fmt::format("mremap({}, {:#x}, {:#x}, {:#x}, {})", fmt::ptr(from),
                                      from_size, size, flags, fmt::ptr(to)));
  }
  return address;
}

Result<Fd> memfd_create(PathRef name, unsigned flags) {
  return checked_fd(
      static_cast<int>(::syscall(SYS_memfd_create, name.c_str(), flags | MFD_CLOEXEC)),
      [&] { return fmt::format("memfd_create(\"{}\", {:#x})", name.c_str(), flags); });
}

Result<Fd> userfaultfd(int flags) {
  return checked_fd(static_cast<int>(::syscall(SYS_userfaultfd, flags | O_CLOEXEC)),
                    [&] { return fmt::format("userfaultfd({:#o})", flags); });
}

Result<size_t> process_vm_readv(Tid task, std::span<const iovec> to, std::span<const iovec> from) {
  const ssize_t n = TRY(checked(
      ::process_vm_readv(task.value, to.data(), to.size(), from.data(), from.size(), 0), [&] {
        return fmt::format("process_vm_readv({}, {} pieces from {})", task, from.size(),
                           from.empty() ? nullptr : fmt::ptr(from.front().iov_base));
      }));
  return static_cast<size_t>(n);
}

Result<size_t> process_vm_writev(Tid task, std::span<const iovec> from, std::span<const iovec> to) {
  const ssize_t n = TRY(checked(
      ::process_vm_writev(task.value, from.data(), from.size(), to.data(), to.size(), 0), [&] {
        return fmt::format("process_vm_writev({}, {} pieces to {})", task, to.size(),
                           to.empty() ? nullptr : fmt::ptr(to.front().iov_base));
      }));
  return static_cast<size_t>(n);
}

Result<void> read_memory(Tid task, uint64_t address, void* out, size_t size) {
  size_t done = 0;
  while (done < size) {
    const iovec to{static_cast<char*>(out) + done, size - done};
    const iovec from{reinterpret_cast<void*>(address + done), size - done};
    done += TRY(process_vm_readv(task, {&to, 1}, {&from, 1}));
  }
  return {};
}

Result<void> write_memory(Tid task, uint64_t address, const void* data, size_t size) {
  size_t done = 0;
  while (done < size) {
    const iovec from{const_cast<char*>(static_cast<const char*>(data)) + done, size - done};
    const iovec to{reinterpret_cast<void*>(address + done), size - done};
    done += TRY(process_vm_writev(task, {&from, 1}, {&to, 1}));
  }
  return {};
}

uint64_t page_size() {
  static const auto size = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace cryo::sys
