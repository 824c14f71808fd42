#include "arch/cpu_info.h"

namespace cryo::arch {
namespace {

// The image format has no entry for this architecture.
Error not_here() {
  return Error::unsupported("cpuinfo.img cannot describe processors of this architecture")
      .hint("leave out --cpu-cap");
}

}  // namespace

Result<pb::cpuinfo_entry> cpu_info() { return not_here(); }
Result<void> check_cpu(const pb::cpuinfo_entry&, const pb::cpuinfo_entry&, const CpuDemands&) {
  return not_here();
}

}  // namespace cryo::arch
