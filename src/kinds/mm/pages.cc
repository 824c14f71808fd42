// The contents of private memory: which pages a task has that are neither untouched, nor the shared zero page,
// nor unchanged pages of a file; and how they come out of the task.
#include "image/pagemap.h"
#include "kinds/all.h"
#include "kinds/mm/page_copier.h"
#include "kinds/mm/page_marks.h"
#include "kinds/mm/vma_status.h"
#include "sys/memory.h"
#include "sys/pagemap.h"

namespace cryo {
namespace {

// One walk of the page tables goes over mappings that are not ours to dump, if they are not larger than this.
constexpr uint64_t kWorthSkipping = 1 << 20;

bool has_pages(const pb::vma_entry& vma) {
  if ((vma.status() & (kVmaVsyscall | kVmaVvar)) != 0) return false;
  return (vma.status() & (kVmaAnonPrivate | kVmaFilePrivate)) != 0;
}

uint32_t flags_of(const pb::vma_entry& vma) {
  const bool lazy = (vma.status() & kVmaAnonPrivate) != 0 && (vma.status() & kVmaVdso) == 0;
  return lazy ? kPresent | kLazy : uint32_t{kPresent};
}

PageCopier::Access access_of(const pb::vma_entry& vma) {
  if ((vma.status() & kVmaVdso) != 0) return PageCopier::Access::injected;
  return (vma.prot() & 1) != 0 ? PageCopier::Access::plain : PageCopier::Access::forced;
}

// Goes through the mappings side by side with the runs of touched pages.
class Collector {
 public:
  Collector(TaskCapture& task, PagemapWriter& writer, PageCopier& copier)
      : task_(&task), writer_(&writer), copier_(&copier) {}

  void touched(const sys::PageRegion& region) {
    uint64_t from = region.start;
    while (next_ < vmas().size() && from < region.end) {
      const pb::vma_entry& vma = vmas()[next_];
      if (vma.end() <= from) {
        pass(vma);
        continue;
      }
      if (vma.start() >= region.end) return;
      from = std::max(from, vma.start());
      const uint64_t to = std::min(region.end, vma.end());
      // The whole vDSO is taken, in pass().
      if (has_pages(vma) && (vma.status() & kVmaVdso) == 0) take(vma, from, to);
      from = to;
    }
  }
  void finish() {
    while (next_ < vmas().size()) pass(vmas()[next_]);
  }

 private:
  const google::protobuf::RepeatedPtrField<pb::vma_entry>& vmas() const {
    return task_->image.mm.vmas();
  }
  void pass(const pb::vma_entry& vma) {
    if ((vma.status() & kVmaVdso) != 0) take(vma, vma.start(), vma.end());
    if (has_pages(vma))
      task_->capture.report.pages_scanned += (vma.end() - vma.start()) / sys::page_size();
    ++next_;
  }
  void take(const pb::vma_entry& vma, uint64_t from, uint64_t to) {
    writer_->add({from, (to - from) / sys::page_size(), flags_of(vma)});
    task_->capture.report.pages_written += (to - from) / sys::page_size();
    copier_->add(from, to - from, access_of(vma));
  }

  TaskCapture* task_;
  PagemapWriter* writer_;
  PageCopier* copier_;
  int next_ = 0;
};

Result<void> scan(FdRef pagemap, const sys::PageFilter& touched, uint64_t start, uint64_t end,
                  std::vector<sys::PageRegion>& room, Collector& collector) {
  sys::PageScan walk(pagemap, start, end, touched);
  for (;;) {
    const std::span<const sys::PageRegion> regions = TRY(walk.next(room));
    if (regions.empty()) return {};
    for (const sys::PageRegion& region : regions) collector.touched(region);
  }
}

Result<void> collect(TaskCapture& task, Collector& collector) {
  const Fd pagemap = TRY(task.proc.open("pagemap", O_RDONLY));
  const sys::PageFilter touched = touched_pages(pagemap);
  const google::protobuf::RepeatedPtrField<pb::vma_entry>& vmas = task.image.mm.vmas();
  std::vector<sys::PageRegion> room(
      std::clamp<size_t>(static_cast<size_t>(vmas.size()) * 2, 512, 16384));
  uint64_t start = 0, end = 0;
  for (const pb::vma_entry& vma : vmas) {
    if ((vma.status() & kVmaVsyscall) != 0) continue;
    const bool apart = !has_pages(vma) && vma.end() - vma.start() > kWorthSkipping;
    if (apart && end != 0) {
      TRY(scan(pagemap, touched, start, end, room, collector));
      end = 0;
    }
    if (apart || !has_pages(vma)) continue;
    if (end == 0) start = vma.start();
    end = vma.end();
  }
  if (end != 0) TRY(scan(pagemap, touched, start, end, room, collector));
  collector.finish();
  return {};
}

Result<void> drain(TaskCapture& task, Injection& injection) {
  const uint32_t pages_id = task.capture.next_pages_id++;
  PagemapWriter writer({ImageKind::pagemap, static_cast<uint64_t>(task.pid.value)}, pages_id);
  PageCopier copier(task, injection);
  Collector collector(task, writer, copier);
  TRY_IN(collect(task, collector), "looking for touched pages");
  const Fd out = TRY(task.capture.images.open_raw({ImageKind::pages, pages_id}));
  TRY(copier.copy_to(out));
  return writer.write(task.capture.images);
}

}  // namespace

const TaskKind pages_kind = {.name = "pages", .drain = drain};

}  // namespace cryo
