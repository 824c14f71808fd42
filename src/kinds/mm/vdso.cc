// The vDSO and its data pages. The kernel makes them at exec; a new task takes the coordinator's along and moves
// them (mremap of special mappings keeps their meaning) to where the image's task had them.
#include <sys/mman.h>
#include <sys/syscall.h>

#include "kinds/all.h"
#include "kinds/mm/vma_status.h"

namespace cryo {
namespace {

struct Places {
  uint64_t vvar = 0, vvar_end = 0, vdso = 0, vdso_end = 0;
};

Places in_image(const pb::mm_entry& mm) {
  Places places;
  for (const pb::vma_entry& vma : mm.vmas()) {
    if ((vma.status() & kVmaVvar) != 0) {
      if (places.vvar == 0) places.vvar = vma.start();
      places.vvar_end = vma.end();
    }
    if ((vma.status() & kVmaVdso) != 0) {
      places.vdso = vma.start();
      places.vdso_end = vma.end();
    }
  }
  return places;
}

Result<void> compile(TaskRestore& task) {
  const Places image = in_image(task.image.mm);
  Places host;
  for (const SpecialMapping& special : task.restore.special) {
    if (special.name == "[vdso]") host = {host.vvar, host.vvar_end, special.start, special.start + special.size};
    else host = {host.vvar == 0 ? special.start : host.vvar, special.start + special.size, host.vdso, host.vdso_end};
  }
  if (image.vdso == 0) return {};  // the task had unmapped it; ours goes with the rest of the parking place
  if (image.vdso_end - image.vdso != host.vdso_end - host.vdso || image.vdso - image.vvar != host.vdso - host.vvar)
    return Error::unsupported("the image's vDSO is laid out unlike this kernel's").hint("restore on the kernel that it was dumped on");
  for (const SpecialMapping& special : task.restore.special) {
    const uint64_t to = image.vvar + (special.start - host.vvar);
    task.plan.calls(Phase::protect)
        .call(SYS_mremap, special.parked, special.size, special.size, MREMAP_MAYMOVE | MREMAP_FIXED, to)
        .expect_exactly(static_cast<int64_t>(to));
  }
  return {};
}

}  // namespace

const TaskKind vdso_kind = {.name = "vdso", .compile = compile};

}  // namespace cryo
