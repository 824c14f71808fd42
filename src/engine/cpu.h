// --cpu-cap: cpuinfo.img in a dump, and its comparison in a restore.
#pragma once

#include "image/store.h"
#include "plan/options.h"

namespace cryo {

Result<void> record_cpu(ImageWriter& images, const CpuCap& wanted);
Result<void> compare_cpu(const ImageReader& images, const CpuCap& wanted);

}  // namespace cryo
