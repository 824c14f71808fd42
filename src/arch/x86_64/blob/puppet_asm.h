/* What the puppet's loop needs of the architecture: entry.S and system call numbers. */
#pragma once

#include <asm/unistd.h>
#include <stdint.h>

enum {
  NR_rt_sigaction = __NR_rt_sigaction,
  NR_rt_sigpending = __NR_rt_sigpending,
  NR_close = __NR_close,
  NR_futex = __NR_futex,
  NR_futex_waitv = __NR_futex_waitv,
  NR_exit_group = __NR_exit_group,
  NR_sched_yield = __NR_sched_yield,
  NR_nanosleep = __NR_nanosleep,
  NR_clock_gettime = __NR_clock_gettime,
};

static inline long puppet_syscall(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                                  uint64_t e, uint64_t f) {
  register uint64_t r10 __asm__("r10") = d;
  register uint64_t r8 __asm__("r8") = e;
  register uint64_t r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

/* int 0x80 from 64-bit code: the 32-bit system call table, arguments cut to 32 bits. */
static inline long puppet_compat_syscall(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                                         uint64_t e) {
  register uint64_t rdi __asm__("rdi") = e;
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "r"(rdi)
                   : "r8", "r9", "r10", "r11", "memory");
  return result;
}

static inline void puppet_pause(void) { __asm__ volatile("pause"); }

/* clone3(args, size); the child starts at puppet_entry with `child_slot`. */
long puppet_spawn(uint64_t args, uint64_t size, uint64_t child_slot);

/* Jumps to the thunk with the carry flag set if the interrupted call is to fail with EINTR. */
__attribute__((noreturn)) void puppet_leave(uint64_t thunk, uint64_t flags, long eintr);
