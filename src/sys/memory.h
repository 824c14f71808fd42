// Memory of this process and of others.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <utility>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "sys/path.h"

namespace cryo::sys {

// A mapping of ours, undone when it goes out of scope.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { reset(); }

  // `fd` is FdRef(-1) for anonymous memory; `hint` matters with MAP_FIXED_NOREPLACE.
  static Result<Mapping> make(size_t size, int prot, int flags, FdRef fd = FdRef(-1),
                              uint64_t offset = 0, void* hint = nullptr);

  void* address() const { return address_; }
  std::byte* bytes() const { return static_cast<std::byte*>(address_); }
  template <class T>
  T* as(size_t offset = 0) const {
    return reinterpret_cast<T*>(bytes() + offset);
  }
  size_t size() const { return size_; }
  explicit operator bool() const { return address_ != nullptr; }
  void reset();
  void release() {
    address_ = nullptr;
    size_ = 0;
  }

 private:
  Mapping(void* address, size_t size) : address_(address), size_(size) {}
  void* address_ = nullptr;
  size_t size_ = 0;
};

Result<void> munmap(void* address, size_t size);
Result<void> mprotect(void* address, size_t size, int prot);
Result<void> madvise(void* address, size_t size, int advice);
Result<void> msync(void* address, size_t size, int flags);
Result<void*> mremap(void* from, size_t from_size, size_t size, int flags, void* to = nullptr);
Result<Fd> memfd_create(PathRef name, unsigned flags = 0);
Result<Fd> userfaultfd(int flags);

// One call each: the count may be short when a page in between is missing or unreadable. At most
// IOV_MAX (1024) pieces a side.
Result<size_t> process_vm_readv(Tid task, std::span<const iovec> to, std::span<const iovec> from);
Result<size_t> process_vm_writev(Tid task, std::span<const iovec> from, std::span<const iovec> to);
// Exactly `size` bytes.
Result<void> read_memory(Tid task, uint64_t address, void* out, size_t size);
Result<void> write_memory(Tid task, uint64_t address, const void* data, size_t size);
template <class T>
Result<T> read_memory(Tid task, uint64_t address) {
  T value{};
  TRY(read_memory(task, address, &value, sizeof value));
  return value;
}

uint64_t page_size();

}  // namespace cryo::sys
