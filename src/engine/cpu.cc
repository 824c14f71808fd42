#include "engine/cpu.h"

#include "arch/cpu_info.h"

namespace cryo {

Result<void> record_cpu(ImageWriter& images, const CpuCap& wanted) {
  if (!wanted.image) return {};
  const pb::cpuinfo_entry info = TRY(arch::cpu_info());
  return images.append({ImageKind::cpuinfo}, info);
}

Result<void> compare_cpu(const ImageReader& images, const CpuCap& wanted) {
  const std::optional<pb::cpuinfo_entry> image =
      TRY(images.record<pb::cpuinfo_entry>({ImageKind::cpuinfo}));
  if (!image && wanted.image)
    return Error::bad_image("there is no cpuinfo.img to compare this processor with")
        .hint("use --cpu-cap with the dump, too");
  if (!image) return {};
  const pb::cpuinfo_entry host = TRY(arch::cpu_info());
  return arch::check_cpu(
      *image, host, {.model = wanted.cpu, .fpu = wanted.fpu, .instructions = wanted.instructions});
}

}  // namespace cryo
