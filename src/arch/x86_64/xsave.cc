#include "arch/x86_64/xsave.h"

#include <cpuid.h>

namespace cryo::arch::xsave {

Extent extent(unsigned component) {
  if (component == x87) return {0, 160};
  if (component == sse) return {160, 256};
  if ((host_features() >> component & 1) == 0) return {0, 0};
  unsigned size = 0, offset = 0, c = 0, d = 0;
  if (__get_cpuid_count(0xd, component, &size, &offset, &c, &d) == 0) return {0, 0};
  return {offset, size};
}

uint64_t host_features() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(0xd, 0, &a, &b, &c, &d) == 0) return 3;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

size_t host_size() {
  size_t end = kLegacySize + kHeaderSize;
  for (unsigned component = ymm; component < 63; ++component) {
    const Extent at = extent(component);
    if (at.offset + at.size > end) end = at.offset + at.size;
  }
  return end;
}

}  // namespace cryo::arch::xsave
