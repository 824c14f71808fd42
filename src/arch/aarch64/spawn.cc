#include "arch/spawn.h"

#include <sys/syscall.h>

namespace cryo::arch {

int64_t spawn_puppet(const sys::CloneArgs& args, uint64_t entry, uint64_t slot) {
  register uint64_t x8 __asm__("x8") = SYS_clone3;
  register uint64_t x0 __asm__("x0") = reinterpret_cast<uint64_t>(&args);
  register uint64_t x1 __asm__("x1") = sizeof(args);
  register uint64_t x9 __asm__("x9") = slot;
  register uint64_t x10 __asm__("x10") = entry;
  __asm__ volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x0, x9\n\t"
      "br x10\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(x9), "r"(x10)
      : "memory", "cc");
  return static_cast<int64_t>(x0);
}

}  // namespace cryo::arch
