#include "kinds/mm/page_copier.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#include "puppet/shared_work.h"
#include "sys/file.h"
#include "sys/memory.h"

namespace cryo {
namespace {

constexpr uint64_t kChunk = 1 << 20;
constexpr size_t kMostVectors = 1024;  // IOV_MAX
constexpr uint64_t kMostPerPost =
    16 << 20;  // the puppet looks after its coordinator between two calls
// Passing a descriptor takes 0.1 to 0.2 ms: what is copied in that time.
constexpr uint64_t kWorthPuppet = 4 << 20;

}  // namespace

void PageCopier::add(uint64_t address, uint64_t size, Access access) {
  while (size > 0) {
    const bool fits = !chunks_.empty() && chunks_.back().access == access &&
                      chunks_.back().size < kChunk && chunks_.back().count < kMostVectors;
    if (!fits) chunks_.push_back({size_, 0, pieces_.size(), 0, access});
    Chunk& chunk = chunks_.back();
    const uint64_t part = std::min(size, kChunk - chunk.size);
    iovec* last = chunk.count == 0 ? nullptr : &pieces_.back();
    if (last != nullptr && reinterpret_cast<uint64_t>(last->iov_base) + last->iov_len == address) {
      last->iov_len += part;
    } else {
      pieces_.push_back({reinterpret_cast<void*>(address), part});
      ++chunk.count;
    }
    chunk.size += part;
    size_ += part;
    address += part;
    size -= part;
  }
}

void PageCopier::show_progress(uint64_t more) {
  done_ += more;
  if (task_->capture.progress) task_->capture.progress({"memory", done_, size_});
}

Result<void> PageCopier::read_forced(const Chunk& chunk) {
  size_t at = 0;
  for (const iovec& piece : pieces(chunk)) {
    const uint64_t address = reinterpret_cast<uint64_t>(piece.iov_base);
    const std::span<std::byte> part = std::span(buffer_).subspan(at, piece.iov_len);
    TRY(sys::pread_all(task_->mem, part.data(), part.size(), address));
    injection_->hide(address, part);
    at += piece.iov_len;
  }
  return {};
}

// Our own way.
Result<void> PageCopier::copy(FdRef out, const Chunk& chunk) {
  if (buffer_.size() < chunk.size) buffer_.resize(chunk.size);
  size_t got = 0;
  if (chunk.access == Access::plain) {
    const iovec to{buffer_.data(), chunk.size};
    const Result<size_t> read =
        sys::process_vm_readv(task_->threads.front().task.tid(), {&to, 1}, pieces(chunk));
    got = read ? read.value() : 0;
  }
  if (got != chunk.size) TRY(read_forced(chunk));
  TRY_IN(sys::pwrite_all(out, buffer_.data(), chunk.size, chunk.offset), "writing the pages");
  TRY(task_->capture.keep_going());
  show_progress(chunk.size);
  return {};
}

// The write is the task's as far as the kernel is concerned: its file size limit must allow it, and the page cache that
// it fills must not be charged to a control group of its own.
Result<bool> PageCopier::puppet_may_write() const {
  if (task_->status.seccomp != 0) return false;
  const std::array<procfs::Limit, procfs::kLimits> limits = TRY(task_->proc.limits());
  if (limits[RLIMIT_FSIZE].soft < size_) return false;
  const Result<std::string> theirs = task_->proc.read("cgroup");
  const Result<std::string> ours = sys::read_file(sys::cwd(), "/proc/self/cgroup");
  return theirs && ours && theirs.value() == ours.value();
}

Batch PageCopier::batch(const RemoteFd& remote, size_t first, size_t most, size_t& taken) const {
  Batch batch;
  most = std::min<size_t>(most, kMostPerPost / kChunk);
  for (taken = 0; taken < most; ++taken) {
    const Chunk& chunk = chunks_[plain_[first + taken]];
    if (taken != 0 &&
        batch.bytes() + chunk.count * sizeof(iovec) + 4096 > injection_->leader().arena_size())
      break;
    const Data vectors = batch.put(std::as_bytes(pieces(chunk)));
    batch.call(SYS_pwritev, remote.number(), vectors, chunk.count, chunk.offset, 0)
        .expect_exactly(static_cast<int64_t>(chunk.size));
  }
  return batch;
}

Result<void> PageCopier::copy_to(FdRef out) {
  uint64_t plain = 0;
  for (size_t i = 0; i < chunks_.size(); ++i) {
    if (chunks_[i].access == Access::plain) {
      plain_.push_back(i);
      plain += chunks_[i].size;
    } else {
      TRY(copy(out, chunks_[i]));
    }
  }
  std::optional<RemoteFd> remote;
  if (plain >= kWorthPuppet) {
    const bool may = TRY(puppet_may_write());
    if (may) {
      std::optional<RemoteFd> sent = TRY(RemoteFd::send(injection_->leader(), task_->pid, out));
      if (sent) remote.emplace(std::move(*sent));
    }
  }
  const SharedWork work{.count = plain_.size(),
                        .batch = [&](size_t first, size_t most,
                                     size_t& taken) { return batch(*remote, first, most, taken); },
                        .own = [&](size_t i) { return copy(out, chunks_[plain_[i]]); },
                        .done =
                            [&](size_t first, size_t count) {
                              for (size_t i = first; i < first + count; ++i)
                                show_progress(chunks_[plain_[i]].size);
                            }};
  TRY(share_work(injection_->leader(), remote.has_value(), work));
  if (remote) TRY(std::move(*remote).close());
  return {};
}

}  // namespace cryo
