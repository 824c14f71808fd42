// The XSAVE area as ptrace hands it over (standard, not compacted format): legacy region, header, and
// components at the offsets that CPUID leaf 0xD tells (Intel SDM vol. 1, chapter 13).
#pragma once

#include <cstddef>
#include <cstdint>

namespace cryo::arch::xsave {

enum Component : unsigned {
  x87 = 0,
  sse = 1,
  ymm = 2,
  bndregs = 3,
  bndcsr = 4,
  opmask = 5,
  zmm_hi256 = 6,
  hi16_zmm = 7,
  pkru = 9,
  cet_user = 11,
  tile_config = 17,
  tile_data = 18
};

constexpr size_t kLegacySize = 512, kHeaderSize = 64, kXstateBv = 512;

struct Extent {
  size_t offset, size;  // size 0: this CPU does not have the component
};

Extent extent(unsigned component);
uint64_t host_features();  // the components that the kernel has enabled (XCR0)
size_t host_size();        // of the whole area with all enabled components

}  // namespace cryo::arch::xsave
