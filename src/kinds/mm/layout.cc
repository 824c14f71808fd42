// How an address space comes back: mappings appear, writable where pages are to be filled in, then contents,
// then final protections and advice. (The vDSO is vdso.cc's.)
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "image/pagemap.h"
#include "kinds/all.h"
#include "kinds/mm/vma_status.h"

namespace cryo {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kTop = uint64_t{1} << 47;
constexpr uint64_t kMostPerRead = 16 << 20;
constexpr size_t kMostVectors = 512;

// Flags of the image that mmap(2) is to be called with; the rest are set by other means.
constexpr uint32_t kMapFlags = MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE;

bool is_ours(const pb::vma_entry& vma) { return (vma.status() & (kVmaVsyscall | kVmaVvar | kVmaVdso | kVmaGuard)) == 0; }

Result<void> check_order(const pb::mm_entry& mm) {
  uint64_t end = 0;
  for (const pb::vma_entry& vma : mm.vmas()) {
    if ((vma.status() & (kVmaVsyscall | kVmaGuard)) != 0) continue;
    const bool aligned = vma.start() % kPage == 0 && vma.end() % kPage == 0;
    if (!aligned || vma.start() < end || vma.start() >= vma.end() || vma.end() > kTop)
      return Error::bad_image(fmt::format("mm: the mapping {:x}-{:x} is misplaced", vma.start(), vma.end()));
    end = vma.end();
  }
  return {};
}

// Walks mappings and runs of pages side by side.
struct Filled {
  const pb::vma_entry* vma;
  bool pages;
};

Result<std::vector<Filled>> match_pages(const pb::mm_entry& mm, const PageSources& pages) {
  std::vector<Filled> all;
  for (const pb::vma_entry& vma : mm.vmas()) all.push_back({&vma, false});
  size_t at = 0;
  for (const PageSource& run : pages.runs) {
    uint64_t from = run.vaddr;
    const uint64_t to = run.vaddr + run.nr_pages * kPage;
    while (from < to) {
      while (at < all.size() && all[at].vma->end() <= from) ++at;
      if (at == all.size() || from < all[at].vma->start() || (all[at].vma->status() & (kVmaAnonPrivate | kVmaFilePrivate)) == 0)
        return Error::bad_image(fmt::format("pagemap: pages at {:x} are in no private mapping", from));
      all[at].pages = true;
      from = std::min(to, all[at].vma->end());
    }
  }
  return all;
}

Result<void> map(TaskRestore& task, const Filled& filled) {
  const pb::vma_entry& vma = *filled.vma;
  uint32_t flags = (vma.flags() & kMapFlags) | MAP_FIXED_NOREPLACE;
  int fd = -1;
  if ((vma.status() & (kVmaFilePrivate | kVmaFileShared)) != 0)
    fd = task.restore.files.file(FileId{static_cast<uint32_t>(vma.shmid())}, static_cast<int>(vma.fdflags()));
  else if ((vma.status() & kVmaAnonPrivate) != 0) flags |= MAP_ANONYMOUS;
  else return Error::unsupported(fmt::format("the mapping {:x}-{:x} is of a kind that cannot be restored yet (status {:#x})", vma.start(), vma.end(), vma.status()));
  const uint64_t size = vma.end() - vma.start();
  const uint32_t prot = vma.prot() | (filled.pages ? uint32_t{PROT_WRITE} : 0);
  task.plan.calls(Phase::map).call(SYS_mmap, vma.start(), size, prot, flags, fd, vma.pgoff()).expect_exactly(static_cast<int64_t>(vma.start()));
  if (prot != vma.prot()) task.plan.calls(Phase::protect).call(SYS_mprotect, vma.start(), size, vma.prot());
  for (int advice = 0; advice < 64; ++advice)
    if ((vma.madv() >> advice & 1) != 0) task.plan.calls(Phase::protect).call(SYS_madvise, vma.start(), size, advice);
  return {};
}

// One preadv for as many runs as follow each other in the pages file.
void fill(TaskRestore& task, const PageSources& pages, const std::vector<int>& fds) {
  Batch& batch = task.plan.calls(Phase::fill);
  for (size_t i = 0; i < pages.runs.size();) {
    const PageSource& first = pages.runs[i];
    std::vector<iovec> vectors;
    uint64_t size = 0;
    for (; i < pages.runs.size() && vectors.size() < kMostVectors; ++i) {
      const PageSource& run = pages.runs[i];
      const uint64_t bytes = run.nr_pages * kPage;
      if (run.file != first.file || run.offset != first.offset + size || (size != 0 && size + bytes > kMostPerRead)) break;
      vectors.push_back({reinterpret_cast<void*>(run.vaddr), bytes});
      size += bytes;
    }
    const Data list = batch.put(std::as_bytes(std::span(vectors)));
    batch.call(SYS_preadv, fds[first.file], list, vectors.size(), first.offset, 0).expect_exactly(static_cast<int64_t>(size));
    task.restore.report.pages_restored += size / kPage;
  }
}

// A run longer than one call should be is cut.
PageSources cut(PageSources pages) {
  std::vector<PageSource> runs;
  for (PageSource run : pages.runs) {
    while (run.nr_pages > kMostPerRead / kPage) {
      PageSource part = run;
      part.nr_pages = kMostPerRead / kPage;
      runs.push_back(part);
      run.vaddr += kMostPerRead;
      run.offset += kMostPerRead;
      run.nr_pages -= part.nr_pages;
    }
    runs.push_back(run);
  }
  pages.runs = std::move(runs);
  return pages;
}

Result<void> compile(TaskRestore& task) {
  TRY(check_order(task.image.mm));
  std::optional<PageSources> found = TRY(resolve_pages(task.restore.images, {ImageKind::pagemap, task.image.node.pid()}));
  if (!found) return Error::bad_image(fmt::format("pagemap-{}.img is missing", task.image.pid()));
  PageSources pages = cut(std::move(*found));
  std::erase_if(pages.runs, [&](const PageSource& run) {
    for (const pb::vma_entry& vma : task.image.mm.vmas())
      if ((vma.status() & kVmaVdso) != 0 && run.vaddr >= vma.start() && run.vaddr < vma.end()) return true;
    return false;
  });
  const std::vector<Filled> filled = TRY(match_pages(task.image.mm, pages));
  for (const Filled& one : filled)
    if (is_ours(*one.vma)) TRY(map(task, one));
  std::vector<int> fds;
  for (Fd& file : pages.files) {
    std::shared_ptr<Fd> shared = std::make_shared<Fd>(std::move(file));
    fds.push_back(task.restore.files.add("pages", [shared]() -> Result<Fd> { return std::move(*shared); }));
  }
  fill(task, pages, fds);
  return {};
}

}  // namespace

const TaskKind layout_kind = {.name = "layout", .compile = compile};

}  // namespace cryo
