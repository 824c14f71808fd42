// How an address space comes back: mappings appear, writable where pages are to be filled in, then contents,
// then final protections and advice. (The vDSO is vdso.cc's.)
#include <sys/syscall.h>

#include "arch/address_space.h"
#include "image/pagemap.h"
#include "kinds/all.h"
#include "kinds/mm/fill.h"
#include "kinds/mm/mapping.h"
#include "kinds/mm/vdso.h"
#include "kinds/mm/vma_status.h"
#include "sys/file.h"
#include "sys/memory.h"

namespace cryo {
namespace {

bool is_ours(const pb::vma_entry& vma) {
  return (vma.status() & (kVmaVsyscall | kVmaVvar | kVmaVdso | kVmaGuard)) == 0;
}

// Guard regions lie inside of mappings, and [vsyscall] is the kernel's.
Result<void> check_order(const pb::mm_entry& mm) {
  const uint64_t page = sys::page_size(), top = arch::user_space_end();
  uint64_t end = 0;
  for (const pb::vma_entry& vma : mm.vmas()) {
    if ((vma.status() & kVmaVsyscall) != 0) continue;
    const bool guard = (vma.status() & kVmaGuard) != 0;
    const bool aligned = vma.start() % page == 0 && vma.end() % page == 0;
    if (!aligned || vma.start() >= vma.end() || vma.end() > top || (!guard && vma.start() < end))
      return Error::bad_image(
          fmt::format("mm: the mapping {:x}-{:x} is misplaced", vma.start(), vma.end()));
    if (!guard) end = vma.end();
  }
  return {};
}

std::vector<MappingOrder> list_mappings(const TaskImage& image) {
  std::vector<MappingOrder> all;
  const auto& extras = image.extra.mm().vmas();
  const auto& huge = image.extra.mm().huge();
  int extra = 0, range = 0;
  for (const pb::vma_entry& vma : image.mm.vmas()) {
    if (!is_ours(vma)) continue;
    MappingOrder& order = all.emplace_back(MappingOrder{&vma});
    while (extra < extras.size() && extras[extra].start() < vma.start()) ++extra;
    if (extra < extras.size() && extras[extra].start() == vma.start()) order.extra = &extras[extra];
    while (range < huge.size() && huge[range].end() <= vma.start()) ++range;
    for (int i = range; i < huge.size() && huge[i].start() < vma.end(); ++i)
      order.huge.push_back(
          {std::max(huge[i].start(), vma.start()), std::min(huge[i].end(), vma.end())});
  }
  return all;
}

// Walks mappings and runs of pages side by side.
Result<void> match_pages(std::vector<MappingOrder>& all, const PageSources& pages) {
  size_t at = 0;
  for (const PageSource& run : pages.runs) {
    uint64_t from = run.vaddr;
    const uint64_t to = run.vaddr + run.nr_pages * sys::page_size();
    while (from < to) {
      while (at < all.size() && all[at].vma->end() <= from) ++at;
      if (at == all.size() || from < all[at].vma->start() ||
          (all[at].vma->status() & (kVmaAnonPrivate | kVmaFilePrivate)) == 0)
        return Error::bad_image(
            fmt::format("pagemap: pages at {:x} are in no private mapping", from));
      all[at].pages = true;
      from = std::min(to, all[at].vma->end());
    }
  }
  return {};
}

// With huge pages for everything, fresh memory is better written to (see fill.h).
bool always_huge() {
  const Result<std::string> enabled =
      sys::read_file(sys::cwd(), "/sys/kernel/mm/transparent_hugepage/enabled");
  return enabled && enabled.value().find("[always]") != std::string::npos;
}

// Memory that a userfaultfd can look after.
bool is_plain(const pb::vma_entry& vma) {
  return (vma.status() & kVmaAnonPrivate) != 0 && (vma.flags() & MAP_HUGETLB) == 0 &&
         (vma.flags() & MAP_TYPE) == MAP_PRIVATE;
}

bool is_fresh(const MappingOrder& mapping, bool huge) {
  const pb::vma_entry& vma = *mapping.vma;
  // Where there were huge pages, the mapping asks for them while it is filled (mapping.cc).
  if (!is_plain(vma) || !mapping.huge.empty()) return false;
  if ((vma.madv() >> MADV_NOHUGEPAGE & 1) != 0) return true;
  return !huge && (vma.madv() >> MADV_HUGEPAGE & 1) == 0;
}

// What the userfaultfd looks after: mappings of fresh pages, and those between them that nobody touches before it is
// gone. Each mapping by itself would be a call.
void expect_fresh_pages(PageFill& fill, const std::vector<MappingOrder>& mappings, bool huge) {
  AddressRange range{0, 0};
  uint64_t end = 0;
  for (const MappingOrder& mapping : mappings) {
    const pb::vma_entry& vma = *mapping.vma;
    const bool follows = vma.start() == end;
    if (mapping.pages && is_fresh(mapping, huge)) {
      if (!follows) {
        if (range.end != 0) fill.expect_fresh(range.start, range.end);
        range.start = vma.start();
      }
      range.end = end = vma.end();
    } else if (follows && !mapping.pages && is_plain(vma)) {
      end = vma.end();
    }
  }
  if (range.end != 0) fill.expect_fresh(range.start, range.end);
}

// Which pages are to be written how. match_pages() has seen that every page lies in a mapping.
Result<void> collect(PageFill& fill, const std::vector<MappingOrder>& mappings,
                     const PageSources& pages) {
  const bool huge = always_huge();
  expect_fresh_pages(fill, mappings, huge);
  const pb::vma_entry* vma = nullptr;
  bool fresh = false;
  size_t at = 0;
  for (PageSource run : pages.runs) {
    if (run.file == PageSource::kNowhere)
      return Error::unsupported(fmt::format("the pages at {:x} are with a page server", run.vaddr));
    while (run.nr_pages > 0) {
      while (mappings[at].vma->end() <= run.vaddr) ++at;
      if (vma != mappings[at].vma) {
        vma = mappings[at].vma;
        fresh = is_fresh(mappings[at], huge);
      }
      PageSource part = run;
      part.nr_pages = std::min(run.nr_pages, (vma->end() - run.vaddr) / sys::page_size());
      fill.add(part, fresh);
      run.vaddr += part.nr_pages * sys::page_size();
      run.offset += part.nr_pages * sys::page_size();
      run.nr_pages -= part.nr_pages;
    }
  }
  return {};
}

Result<void> compile(TaskRestore& task) {
  TRY(check_order(task.image.mm));
  std::optional<PageSources> found =
      TRY(resolve_pages(task.restore.images, {ImageKind::pagemap, task.image.node.pid()}));
  if (!found) return Error::bad_image(fmt::format("pagemap-{}.img is missing", task.image.pid()));
  TRY(take_vdso_pages(task, *found));
  PageSources pages = std::move(*found);
  std::vector<MappingOrder> mappings = list_mappings(task.image);
  TRY(match_pages(mappings, pages));
  const AnonymousSizes sizes = anonymous_sizes(task.restore.snapshot);
  plan_guards(task);
  for (const MappingOrder& mapping : mappings) TRY(plan_mapping(task, mapping, sizes));
  std::vector<int> fds;
  for (Fd& file : pages.files) {
    std::shared_ptr<Fd> shared = std::make_shared<Fd>(std::move(file));
    fds.push_back(
        task.restore.files.add("pages", [shared]() -> Result<Fd> { return std::move(*shared); }));
  }
  std::shared_ptr<PageFill> fill = std::make_shared<PageFill>(std::move(fds));
  TRY(collect(*fill, mappings, pages));
  PageFill::plan(std::move(fill), task);
  return {};
}

}  // namespace

const TaskKind layout_kind = {.name = "layout", .compile = compile};

}  // namespace cryo
