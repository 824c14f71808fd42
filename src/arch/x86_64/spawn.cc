#include "arch/spawn.h"

#include <sys/syscall.h>

namespace cryo::arch {

int64_t spawn_puppet(const sys::CloneArgs& args, uint64_t entry, uint64_t slot) {
  register uint64_t r12 __asm__("r12") = slot;
  register uint64_t r13 __asm__("r13") = entry;
  int64_t result = 0;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov %%r12, %%rdi\n\t"
      "jmp *%%r13\n"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone3), "D"(&args), "S"(sizeof(args)), "r"(r12), "r"(r13)
      : "rcx", "r11", "memory");
  return result;
}

}  // namespace cryo::arch
