#include "kinds/mm/fill.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "puppet/shared_work.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/process.h"
#include "sys/userfault.h"

namespace cryo {
namespace {

constexpr size_t kMostVectors = 256;
// What goes through a buffer stays in the processor's cache.
constexpr uint64_t kChunk = kScratchSize;
constexpr uint64_t kMostPerPost = 8 << 20;
constexpr uint64_t kWorthTwo = 2 << 20;

uint64_t address_of(const iovec& piece) { return reinterpret_cast<uint64_t>(piece.iov_base); }

}  // namespace

// What the work of one restore goes on with.
struct PageFill::Worker {
  TaskStage& stage;
  Fd mem;  // of the task
  int remote_userfault = -1;
  Fd userfault;
  std::vector<std::byte> buffer;
  uint64_t done = 0;
};

void PageFill::add(const PageSource& source, bool fresh) {
  PageSource run = source;
  uint64_t left = run.nr_pages * sys::page_size();
  while (left > 0) {
    Chunk* last = chunks_.empty() ? nullptr : &chunks_.back();
    const bool fits = last != nullptr && last->fresh == fresh && last->file == run.file &&
                      last->offset + last->size == run.offset && last->size < kChunk &&
                      last->count < kMostVectors;
    if (!fits) chunks_.push_back({run.offset, 0, pieces_.size(), 0, run.file, fresh});
    Chunk& chunk = chunks_.back();
    const uint64_t part = std::min(left, kChunk - chunk.size);
    pieces_.push_back({reinterpret_cast<void*>(run.vaddr), part});
    ++chunk.count;
    chunk.size += part;
    size_ += part;
    run.vaddr += part;
    run.offset += part;
    left -= part;
  }
}

void PageFill::plan_reads(Batch& batch) const {
  for (const Chunk& chunk : chunks_) {
    const Data list = batch.put(std::as_bytes(pieces(chunk)));
    batch.call(SYS_preadv, fds_[chunk.file], list, chunk.count, chunk.offset, 0)
        .expect_exactly(static_cast<int64_t>(chunk.size));
  }
}

void PageFill::plan(std::shared_ptr<PageFill> fill, TaskRestore& task) {
  task.restore.report.pages_restored += fill->size_ / sys::page_size();
  fill->progress_ = task.restore.progress;
  if (fill->size_ < kWorthTwo) return fill->plan_reads(task.plan.calls(Phase::fill));
  const std::string what = fmt::format("fill {} pages in {} pieces", fill->size_ / sys::page_size(),
                                       fill->pieces_.size());
  task.plan.host(Phase::fill, what, [fill](TaskStage& stage) { return fill->perform(stage); });
}

void PageFill::expect_fresh(uint64_t start, uint64_t end) {
  if (!fresh_.empty() && fresh_.back().end == start)
    fresh_.back().end = end;
  else
    fresh_.push_back({start, end});
}

Batch PageFill::batch(const Worker& worker, size_t first, size_t most, size_t& taken) const {
  Batch batch;
  most = std::min<size_t>(most, kMostPerPost / kChunk);
  const uint64_t room = worker.stage.leader.arena_size();
  for (taken = 0; taken < most; ++taken) {
    const Chunk& chunk = chunks_[first + taken];
    if (taken != 0 &&
        batch.bytes() + (chunk.count + 2) * (sizeof(puppet_call) + sizeof(uffdio_copy) + 16) > room)
      break;
    if (!chunk.fresh || worker.remote_userfault < 0) {
      const Data list = batch.put(std::as_bytes(pieces(chunk)));
      batch.call(SYS_preadv, fds_[chunk.file], list, chunk.count, chunk.offset, 0)
          .expect_exactly(static_cast<int64_t>(chunk.size));
      continue;
    }
    batch.call(SYS_pread64, fds_[chunk.file], worker.stage.scratch, chunk.size, chunk.offset)
        .expect_exactly(static_cast<int64_t>(chunk.size));
    uint64_t from = worker.stage.scratch;
    for (const iovec& piece : pieces(chunk)) {
      const uffdio_copy copy{address_of(piece), from, piece.iov_len, 0, 0};
      batch.call(SYS_ioctl, worker.remote_userfault, UFFDIO_COPY, batch.put(copy))
          .expect_exactly(0);
      from += piece.iov_len;
    }
  }
  return batch;
}

Result<void> PageFill::copy(Worker& worker, const Chunk& chunk) const {
  worker.buffer.resize(kChunk);
  TRY_IN(sys::pread_all(FdRef(fds_[chunk.file]), worker.buffer.data(), chunk.size, chunk.offset),
         "reading pages");
  const std::byte* from = worker.buffer.data();
  for (const iovec& piece : pieces(chunk)) {
    const bool copied =
        chunk.fresh && worker.userfault &&
        sys::userfault_copy(worker.userfault, address_of(piece), from, piece.iov_len);
    // Also where a page is there already.
    if (!copied) TRY(sys::pwrite_all(worker.mem, from, piece.iov_len, address_of(piece)));
    from += piece.iov_len;
  }
  worker.done += chunk.size;
  if (progress_) progress_({"memory", worker.done, size_});
  return {};
}

Result<void> PageFill::perform(TaskStage& stage) {
  Worker worker{stage, TRY(sys::openat(stage.proc, "mem", O_RDWR)), -1, Fd(), {}, 0};
  if (!fresh_.empty()) {
    Batch make;
    make.call(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK).any_result();
    const Outcome made = TRY(stage.leader.run(make));
    worker.remote_userfault = static_cast<int>(made.result(0));
  }
  const auto join = [&]() -> Result<void> {
    const Fd pidfd = TRY(sys::pidfd_open(stage.pid));
    worker.userfault = TRY(sys::pidfd_getfd(pidfd, FdNo{worker.remote_userfault}));
    TRY(sys::userfault_start(worker.userfault));
    for (const AddressRange& range : fresh_)
      TRY(sys::userfault_register(worker.userfault, range.start, range.end - range.start));
    return {};
  };
  const auto forget = [&]() -> Result<void> {
    worker.userfault.reset();
    if (worker.remote_userfault < 0) return {};
    Batch close;
    close.call(SYS_close, std::exchange(worker.remote_userfault, -1));
    TRY(stage.leader.run_all(close));
    return {};
  };
  // A kernel without it, or a mapping that it does not take: the contents are written, then.
  if (worker.remote_userfault >= 0 && !join()) TRY(forget());
  const SharedWork work{.count = chunks_.size(),
                        .batch = [&](size_t first, size_t most,
                                     size_t& taken) { return batch(worker, first, most, taken); },
                        .own = [&](size_t i) { return copy(worker, chunks_[i]); },
                        .done =
                            [&](size_t first, size_t count) {
                              for (size_t i = first; i < first + count; ++i)
                                worker.done += chunks_[i].size;
                            }};
  TRY(share_work(stage.leader, true, work));
  return forget();
}

}  // namespace cryo
