#include "arch/x86_64/xsave.h"

#include <cpuid.h>

#include <algorithm>
#include <array>

namespace cryo::arch::xsave {
namespace {

constexpr unsigned kComponents = 63;

// A virtual machine leaves for its host at every cpuid: some 5 us each, and hundreds were asked for in every thread.
struct Layout {
  uint64_t features = 3;
  std::array<Extent, kComponents> extents{};
  size_t size = kLegacySize + kHeaderSize;
};

Layout read_layout() {
  Layout layout;
  layout.extents[x87] = {0, 160};
  layout.extents[sse] = {160, 256};
  if (__get_cpuid_max(0, nullptr) < 0xd) return layout;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  layout.features = static_cast<uint64_t>(high) << 32 | low;
  for (unsigned component = ymm; component < kComponents; ++component) {
    if ((layout.features >> component & 1) == 0) continue;
    unsigned size = 0, offset = 0, c = 0, d = 0;
    __cpuid_count(0xd, component, size, offset, c, d);
    layout.extents[component] = {offset, size};
    layout.size = std::max(layout.size, size_t{offset} + size);
  }
  return layout;
}

const Layout& layout() {
  static const Layout host = read_layout();
  return host;
}

}  // namespace

Extent extent(unsigned component) {
  return component < kComponents ? layout().extents[component] : Extent{0, 0};
}
uint64_t host_features() { return layout().features; }
size_t host_size() { return layout().size; }

}  // namespace cryo::arch::xsave
