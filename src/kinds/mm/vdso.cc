// The vDSO and its data pages. The kernel makes them at exec; a new task takes the coordinator's along and moves
// them (mremap of special mappings keeps their meaning) to where the image's task had them.
//
// The image's vDSO may be that of another kernel. Then ours stays at its parking place, and the old code lies at the
// old address as ordinary memory, its functions leading to ours: programs keep pointers to them. (In an image of such
// a task, the old code is ordinary memory already.) A task without a vDSO loses ours at the very end: the engine
// still needs it.
#include "kinds/mm/vdso.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>

#include "kinds/all.h"
#include "kinds/mm/vdso_image.h"
#include "kinds/mm/vma_status.h"
#include "sys/file.h"
#include "sys/memory.h"

namespace cryo {
namespace {

constexpr uint64_t kLargest = 1 << 20;

struct Places {
  uint64_t vvar = 0, vvar_size = 0, vdso = 0, vdso_size = 0;
};

// Contents of the images' vDSOs, by pid.
struct Kept {
  std::map<Pid, std::vector<std::byte>> contents;
};

Places in_image(const pb::mm_entry& mm) {
  Places places;
  for (const pb::vma_entry& vma : mm.vmas()) {
    if ((vma.status() & kVmaVvar) != 0) {
      if (places.vvar == 0) places.vvar = vma.start();
      places.vvar_size = vma.end() - places.vvar;
    }
    if ((vma.status() & kVmaVdso) != 0) {
      places.vdso = vma.start();
      places.vdso_size = vma.end() - vma.start();
    }
  }
  return places;
}

std::span<const std::byte> bytes_of(const SpecialMapping& mapping) {
  return {reinterpret_cast<const std::byte*>(mapping.start), mapping.size};
}

void move(Batch& batch, const SpecialMapping& special, uint64_t to) {
  batch
      .call(SYS_mremap, special.parked, special.size, special.size, MREMAP_MAYMOVE | MREMAP_FIXED,
            to)
      .expect_exactly(static_cast<int64_t>(to));
}

// The old code as ordinary memory.
Result<void> forward(TaskRestore& task, const Places& image, const std::vector<std::byte>& content,
                     const SpecialMapping& host) {
  std::vector<std::byte> patched = TRY(forward_vdso(content, bytes_of(host), host.parked));
  const auto code = std::make_shared<std::vector<std::byte>>(std::move(patched));
  const int staged = task.restore.files.add("the image's vDSO", [code]() -> Result<Fd> {
    Fd file = TRY(sys::memfd_create("vdso", MFD_CLOEXEC));
    TRY(sys::pwrite_all(file, code->data(), code->size(), 0));
    return file;
  });
  Batch& batch = task.plan.calls(Phase::protect);
  batch
      .call(SYS_mmap, image.vdso, image.vdso_size, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)
      .expect_exactly(static_cast<int64_t>(image.vdso));
  batch.call(SYS_pread64, staged, image.vdso, image.vdso_size, 0)
      .expect_exactly(static_cast<int64_t>(image.vdso_size));
  batch.call(SYS_mprotect, image.vdso, image.vdso_size, PROT_READ | PROT_EXEC);
  return {};
}

void move_data(TaskRestore& task, const Places& image) {
  Batch& batch = task.plan.calls(Phase::protect);
  uint64_t to = image.vvar;
  for (const SpecialMapping& special : task.restore.special) {
    if (special.name == "[vdso]") continue;
    if (image.vvar == 0)
      batch.call(SYS_munmap, special.parked, special.size);
    else
      move(batch, special, to);
    to += special.size;
  }
}

Result<void> compile(TaskRestore& task) {
  const Places image = in_image(task.image.mm);
  const SpecialMapping* host = nullptr;
  uint64_t data_size = 0;
  for (const SpecialMapping& special : task.restore.special) {
    if (special.name == "[vdso]")
      host = &special;
    else
      data_size += special.size;
  }
  if (host == nullptr)
    return Error::unsupported("cryo itself has no vDSO").hint("start the kernel without vdso=0");
  const std::vector<std::byte>& content = task.restore.shelf.get<Kept>().contents[task.image.pid()];
  const bool same_data = image.vvar == 0 || image.vvar_size == data_size;
  const bool same_code =
      host->size == image.vdso_size && (content.empty() || same_vdso(content, bytes_of(*host)));
  if (image.vdso == 0) {
    if (image.vvar != 0 && same_data) move_data(task, image);
    return {};
  }
  if (same_code && same_data) {
    move_data(task, image);
    move(task.plan.calls(Phase::protect), *host, image.vdso);
    return {};
  }
  if (content.size() != image.vdso_size)
    return Error::unsupported(
        "the image's vDSO is not this kernel's, and its pages are not in the image");
  return forward(task, image, content, *host);
}

}  // namespace

Result<void> take_vdso_pages(TaskRestore& task, PageSources& pages) {
  const Places image = in_image(task.image.mm);
  if (image.vdso == 0) return {};
  if (image.vdso_size > kLargest)
    return Error::bad_image(fmt::format("mm: a vDSO of {} bytes", image.vdso_size));
  const uint64_t end = image.vdso + image.vdso_size;
  const auto behind = [](const PageSource& run, uint64_t address) {
    return run.vaddr + run.nr_pages * sys::page_size() <= address;
  };
  const auto first = std::lower_bound(pages.runs.begin(), pages.runs.end(), image.vdso, behind);
  auto last = first;
  std::vector<std::byte> content(image.vdso_size);
  uint64_t found = 0;
  for (; last != pages.runs.end() && last->vaddr < end; ++last) {
    const uint64_t size = last->nr_pages * sys::page_size();
    if (last->vaddr < image.vdso || size > end - last->vaddr || last->file == PageSource::kNowhere)
      return Error::bad_image("pagemap: a run that is partly in the vDSO");
    TRY(sys::pread_all(pages.files[last->file], content.data() + (last->vaddr - image.vdso), size,
                       last->offset));
    found += size;
  }
  pages.runs.erase(first, last);
  if (found == image.vdso_size)
    task.restore.shelf.get<Kept>().contents[task.image.pid()] = std::move(content);
  return {};
}

const TaskKind vdso_kind = {.name = "vdso", .compile = compile};

}  // namespace cryo
