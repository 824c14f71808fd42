// vma_entry.status and the madv bits: the image format's description of a mapping.
#pragma once

#include <cstdint>

namespace cryo {

enum VmaStatus : uint32_t {
  kVmaRegular = 1,
  kVmaStack = 2,
  kVmaVsyscall = 4,
  kVmaVdso = 8,
  kVmaHeap = 32,
  kVmaFilePrivate = 64,
  kVmaFileShared = 128,
  kVmaAnonShared = 256,
  kVmaAnonPrivate = 512,
  kVmaSysvIpc = 1024,
  kVmaSocket = 2048,
  kVmaVvar = 4096,
  kVmaAioRing = 8192,
  kVmaMemfd = 16384,
  kVmaShadowStack = 32768,
  kVmaGuard = 65536,
  kVmaUprobes = 131072,
};

}  // namespace cryo
