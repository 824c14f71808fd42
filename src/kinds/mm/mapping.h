// One mapping of the image, as calls of the plan.
#pragma once

#include <map>
#include <vector>

#include "plan/restore.h"
#include "puppet/injection.h"

namespace cryo {

struct MappingOrder {
  const pb::vma_entry* vma;
  bool pages = false;                   // contents will be filled in
  const pb::cryo_vma* extra = nullptr;  // what vma_entry has no field for
  std::vector<AddressRange> huge{};     // parts that were backed by transparent huge pages
};

// Sizes of the objects behind ANON_SHARED mappings, by number: as far as any mapping reaches.
using AnonymousSizes = std::map<uint64_t, uint64_t>;
AnonymousSizes anonymous_sizes(const Snapshot& snapshot);

// Phase::map: the mapping, writable if pages come; Phase::protect: what it is like in the end.
Result<void> plan_mapping(TaskRestore& task, const MappingOrder& order,
                          const AnonymousSizes& sizes);
// The staged descriptor that a mapping of a file is made from.
int staged_source(TaskRestore& task, const pb::vma_entry& file_mapping);
// Before plan_mapping: guard regions cannot be installed in locked memory, or could not before 6.15.
void plan_guards(TaskRestore& task);

}  // namespace cryo
