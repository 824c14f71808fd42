// The processor's features as cpuinfo.img holds them: what programs that were dumped here may have found with
// CPUID and rely on.
#pragma once

#include "base/result.h"
#include "cpuinfo.pb.h"

namespace cryo::arch {

Result<pb::cpuinfo_entry> cpu_info();

struct CpuDemands {
  bool model;         // the very same processor
  bool fpu;           // every part of its extended state
  bool instructions;  // every instruction set
};

// An error that names what `image` has and `host` lacks.
Result<void> check_cpu(const pb::cpuinfo_entry& image, const pb::cpuinfo_entry& host,
                       const CpuDemands& demands);

}  // namespace cryo::arch
