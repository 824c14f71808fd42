#include "engine/parking.h"

#include <algorithm>

#include "arch/address_space.h"
#include "procfs/reader.h"

namespace cryo {

Result<std::vector<AddressRange>> taken_ranges(const Snapshot& snapshot) {
  std::vector<AddressRange> taken;
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  const std::vector<procfs::Vma> ours = TRY(self.maps());
  const uint64_t top = arch::user_space_end();
  for (const procfs::Vma& vma : ours)
    if (vma.end <= top) taken.push_back({vma.start, vma.end});
  for (const TaskImage& image : snapshot.tasks)
    for (const pb::vma_entry& vma : image.mm.vmas()) {
      if (vma.end() > top || vma.start() >= vma.end()) continue;
      // Most follow on each other.
      if (!taken.empty() && taken.back().end == vma.start())
        taken.back().end = vma.end();
      else
        taken.push_back({vma.start(), vma.end()});
    }
  std::ranges::sort(taken, {}, &AddressRange::start);
  std::vector<AddressRange> merged;
  for (const AddressRange& range : taken) {
    if (!merged.empty() && range.start <= merged.back().end)
      merged.back().end = std::max(merged.back().end, range.end);
    else
      merged.push_back(range);
  }
  return merged;
}

Result<std::vector<SpecialMapping>> plan_parking(const std::vector<AddressRange>& taken) {
  std::vector<SpecialMapping> special;
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  const std::vector<procfs::Vma> ours = TRY(self.maps());
  for (const procfs::Vma& vma : ours)
    if (vma.name == "[vdso]" || vma.name == "[vvar]" || vma.name == "[vvar_vclock]")
      special.push_back({vma.name, vma.start, vma.end - vma.start, 0});
  uint64_t size = 0;
  for (const SpecialMapping& mapping : special) size += mapping.size;
  const uint64_t hole = find_hole(taken, size);
  if (hole == 0) return Error::unsupported("no room for the vDSO in the address space");
  uint64_t at = hole;
  for (SpecialMapping& mapping : special) {
    mapping.parked = at;
    at += mapping.size;
  }
  return special;
}

}  // namespace cryo
