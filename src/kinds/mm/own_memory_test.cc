#include "kinds/mm/own_memory_test.h"

#include <gtest/gtest.h>

#include "procfs/reader.h"

namespace cryo {

procfs::Vma own_mapping(const void* address) {
  const auto at = reinterpret_cast<uint64_t>(address);
  Result<procfs::ProcDir> proc = procfs::ProcDir::open();
  Result<procfs::ProcTask> self = proc.value().self();
  const Result<std::vector<procfs::Vma>> all = self.value().smaps();
  for (const procfs::Vma& vma : all.value())
    if (vma.contains(at)) return vma;
  ADD_FAILURE() << "nothing is mapped at " << address;
  return {};
}

}  // namespace cryo
