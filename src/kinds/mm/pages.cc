// The contents of private memory: which pages a task has that are neither untouched, nor the shared zero page,
// nor unchanged pages of a file; and how they come out of the task.
#include <sys/uio.h>

#include "image/pagemap.h"
#include "kinds/all.h"
#include "kinds/mm/vma_status.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/pagemap.h"

namespace cryo {
namespace {

constexpr uint64_t kPage = 4096;
constexpr size_t kChunk = 1 << 20;

constexpr sys::PageFilter kTouched = {
    .inverted = PAGE_IS_FILE | PAGE_IS_PFNZERO,
    .all_of = PAGE_IS_FILE | PAGE_IS_PFNZERO,
    .any_of = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
};

bool has_pages(const pb::vma_entry& vma) {
  if ((vma.status() & (kVmaVsyscall | kVmaVvar)) != 0) return false;
  return (vma.status() & (kVmaAnonPrivate | kVmaFilePrivate)) != 0;
}

// Copies memory of the task to the end of `out`.
class Copier {
 public:
  Copier(TaskCapture& task, Injection& injection, Fd out) : task_(&task), injection_(&injection), out_(std::move(out)), buffer_(kChunk) {}

  Result<void> copy(uint64_t from, uint64_t to, bool readable) {
    while (from < to) {
      const size_t size = std::min<uint64_t>(to - from, buffer_.size());
      // Only /proc/PID/mem reads what the task itself may not.
      if (readable) TRY(sys::read_memory(task_->threads.front().task.tid(), from, buffer_.data(), size));
      else TRY(sys::pread_all(task_->mem, buffer_.data(), size, from));
      injection_->hide(from, std::span(buffer_).first(size));
      TRY(sys::write_all(out_, buffer_.data(), size));
      from += size;
    }
    return {};
  }

 private:
  TaskCapture* task_;
  Injection* injection_;
  Fd out_;
  std::vector<std::byte> buffer_;
};

uint32_t flags_of(const pb::vma_entry& vma) {
  const bool lazy = (vma.status() & kVmaAnonPrivate) != 0 && (vma.status() & kVmaVdso) == 0;
  return lazy ? kPresent | kLazy : uint32_t{kPresent};
}

Result<void> drain_vma(TaskCapture& task, FdRef pagemap, const pb::vma_entry& vma, PagemapWriter& writer, Copier& copier) {
  const bool readable = (vma.prot() & 1) != 0;
  const auto take = [&](uint64_t from, uint64_t to) -> Result<void> {
    writer.add({from, (to - from) / kPage, flags_of(vma)});
    task.capture.report.pages_written += (to - from) / kPage;
    return copier.copy(from, to, readable);
  };
  task.capture.report.pages_scanned += (vma.end() - vma.start()) / kPage;
  if ((vma.status() & kVmaVdso) != 0) return take(vma.start(), vma.end());
  std::array<sys::PageRegion, 512> room;
  sys::PageScan scan(pagemap, vma.start(), vma.end(), kTouched);
  for (;;) {
    const std::span<const sys::PageRegion> regions = TRY(scan.next(room));
    if (regions.empty()) return {};
    for (const sys::PageRegion& region : regions) TRY(take(region.start, region.end));
  }
}

Result<void> drain(TaskCapture& task, Injection& injection) {
  const uint32_t pages_id = task.capture.next_pages_id++;
  PagemapWriter writer({ImageKind::pagemap, static_cast<uint64_t>(task.pid.value)}, pages_id);
  Fd out = TRY(task.capture.images.open_raw({ImageKind::pages, pages_id}));
  const Fd pagemap = TRY(task.proc.open("pagemap", O_RDONLY));
  Copier copier(task, injection, std::move(out));
  for (const pb::vma_entry& vma : task.image.mm.vmas()) {
    if (!has_pages(vma)) continue;
    TRY_IN(drain_vma(task, pagemap, vma, writer, copier), "copying the memory {:x}-{:x}", vma.start(), vma.end());
  }
  return writer.write(task.capture.images);
}

}  // namespace

const TaskKind pages_kind = {.name = "pages", .drain = drain};

}  // namespace cryo
