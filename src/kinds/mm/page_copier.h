// Copies memory of a frozen task into a pages file.
//
// Small amounts are read by process_vm_readv and written by us. Large ones are written by two: the puppet calls
// pwritev from the task's own memory straight into the file (one copy, no pinning), from the front; we do the same
// work in our way from the back. What the puppet cannot do is left to us, so that an error is always one of ours.
#pragma once

#include <sys/uio.h>

#include <optional>
#include <vector>

#include "plan/capture.h"
#include "puppet/remote_fd.h"

namespace cryo {

class PageCopier {
 public:
  PageCopier(TaskCapture& task, Injection& injection) : task_(&task), injection_(&injection) {}

  enum class Access : uint8_t {
    plain,     // the task may read it
    forced,    // only /proc/PID/mem reads it: no read permission
    injected,  // some of our own bytes lie in it
  };
  // The next piece of the file.
  void add(uint64_t address, uint64_t size, Access access);
  uint64_t size() const { return size_; }
  Result<void> copy_to(FdRef out);

 private:
  // Consecutive in the file, and one call's work.
  struct Chunk {
    uint64_t offset = 0, size = 0;
    size_t first = 0, count = 0;  // of pieces_
    Access access = Access::plain;
  };
  std::span<const iovec> pieces(const Chunk& chunk) const {
    return std::span(pieces_).subspan(chunk.first, chunk.count);
  }
  Result<void> copy(FdRef out, const Chunk& chunk);
  Result<void> read_forced(const Chunk& chunk);
  Result<bool> puppet_may_write() const;
  Batch batch(const RemoteFd& remote, size_t first, size_t most, size_t& taken) const;
  void show_progress(uint64_t more);

  TaskCapture* task_;
  Injection* injection_;
  std::vector<iovec> pieces_;
  std::vector<Chunk> chunks_;
  std::vector<size_t> plain_;  // chunks that are left after the special ones
  std::vector<std::byte> buffer_;
  uint64_t size_ = 0;
  uint64_t done_ = 0;
};

}  // namespace cryo
