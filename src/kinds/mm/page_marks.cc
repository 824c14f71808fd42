// What PAGEMAP_SCAN tells about an address space besides contents: guard regions (MADV_GUARD_INSTALL, 6.13), which
// are marks in the page tables and no mappings, and which parts are backed by transparent huge pages.
#include "kinds/mm/page_marks.h"

#include <sys/utsname.h>

#include <cstdio>

#include "kinds/all.h"
#include "kinds/mm/vma_status.h"
#include "sys/memory.h"
#include "sys/pagemap.h"

namespace cryo {
namespace {

using procfs::Vma;
using procfs::VmFlag;

constexpr sys::PageFilter kGuards = {.any_of = PAGE_IS_GUARD};
constexpr sys::PageFilter kHuge = {.inverted = PAGE_IS_FILE, .all_of = PAGE_IS_FILE | PAGE_IS_HUGE};

// Since 6.18 smaps says which mappings may have guard regions (VmFlags gu).
bool kernel_flags_guards() {
  utsname name{};
  unsigned major = 0, minor = 0;
  if (uname(&name) != 0 || std::sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 18);
}

template <class Take>
Result<void> scan(FdRef pagemap, const Vma& vma, const sys::PageFilter& filter, Take&& take) {
  std::array<sys::PageRegion, 64> room;
  sys::PageScan pages(pagemap, vma.start, vma.end, filter);
  for (;;) {
    const std::span<const sys::PageRegion> regions = TRY(pages.next(room));
    if (regions.empty()) return {};
    for (const sys::PageRegion& region : regions) take(region.start, region.end);
  }
}

void add_guard(pb::mm_entry& mm, uint64_t from, uint64_t to) {
  if (pb::vma_entry* last = mm.mutable_vmas(mm.vmas_size() - 1);
      last->status() == kVmaGuard && last->end() == from) {
    last->set_end(to);
    return;
  }
  pb::vma_entry& entry = *mm.add_vmas();
  entry.set_start(from);
  entry.set_end(to);
  entry.set_pgoff(0);
  entry.set_shmid(0);
  entry.set_prot(0);
  entry.set_flags(0);
  entry.set_status(kVmaGuard);
  entry.set_fd(-1);
}

Result<void> capture_guards(TaskCapture& task, FdRef pagemap) {
  const bool flagged = kernel_flags_guards();
  for (const Vma& vma : task.vmas) {
    const bool maybe = flagged ? vma.has(VmFlag::gu)
                               : !vma.has(VmFlag::ht) && !vma.has(VmFlag::io) &&
                                     !vma.has(VmFlag::pf) && vma.name != "[vsyscall]";
    if (!maybe) continue;
    Result<void> done = scan(pagemap, vma, kGuards, [&](uint64_t from, uint64_t to) {
      add_guard(task.image.mm, from, to);
    });
    if (!done && !flagged) return {};  // before 6.14 nobody can see them
    TRY_IN(std::move(done), "looking for guard regions in {:x}-{:x}", vma.start, vma.end);
  }
  return {};
}

Result<void> capture_huge(TaskCapture& task, FdRef pagemap) {
  for (const Vma& vma : task.vmas) {
    if (vma.usage.anon_huge == 0) continue;
    pb::cryo_mm& mm = *task.image.extra.mutable_mm();
    TRY_IN(scan(pagemap, vma, kHuge,
                [&](uint64_t from, uint64_t to) {
                  pb::cryo_memory_range& range = *mm.add_huge();
                  range.set_start(from);
                  range.set_end(to);
                }),
           "looking for huge pages in {:x}-{:x}", vma.start, vma.end);
  }
  return {};
}

Result<void> capture(TaskCapture& task) {
  const Fd pagemap = TRY(task.proc.open("pagemap", O_RDONLY));
  TRY(capture_guards(task, pagemap));
  return capture_huge(task, pagemap);
}

}  // namespace

sys::PageFilter touched_pages(FdRef pagemap) {
  constexpr uint64_t kNot = PAGE_IS_FILE | PAGE_IS_PFNZERO;
  sys::PageFilter filter{
      .inverted = kNot, .all_of = kNot, .any_of = PAGE_IS_PRESENT | PAGE_IS_SWAPPED};
  sys::PmScanArg probe;
  probe.end = sys::page_size();
  probe.category_anyof_mask = PAGE_IS_GUARD;
  if (!sys::pagemap_scan(pagemap, probe)) return filter;
  filter.inverted |= PAGE_IS_GUARD;
  filter.all_of |= PAGE_IS_GUARD;
  return filter;
}

const TaskKind page_marks_kind = {.name = "page marks", .capture = capture};

}  // namespace cryo
