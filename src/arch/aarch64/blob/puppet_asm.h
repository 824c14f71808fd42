/* What the puppet's loop needs of the architecture: entry.S and system call numbers. */
#pragma once

#include <asm/unistd.h>
#include <stdint.h>

#ifndef __NR_futex_waitv
#define __NR_futex_waitv 449
#endif

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
  register uint64_t x8 __asm__("x8") = (uint64_t)nr;
  register uint64_t x0 __asm__("x0") = a;
  register uint64_t x1 __asm__("x1") = b;
  register uint64_t x2 __asm__("x2") = c;
  register uint64_t x3 __asm__("x3") = d;
  register uint64_t x4 __asm__("x4") = e;
  register uint64_t x5 __asm__("x5") = f;
  __asm__ volatile("svc #0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory", "cc");
  return (long)x0;
}

/* There is no second entry that 64-bit code could use: -ENOSYS. */
static inline long puppet_compat_syscall(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                                         uint64_t e) {
  (void)nr, (void)a, (void)b, (void)c, (void)d, (void)e;
  return -38;
}

static inline void puppet_pause(void) { __asm__ volatile("yield"); }

/* clone3(args, size); the child starts at puppet_entry with `child_slot`. */
long puppet_spawn(uint64_t args, uint64_t size, uint64_t child_slot);

/* Jumps to the thunk. The kernel has rewound an interrupted call already: `eintr` changes nothing. */
__attribute__((noreturn)) void puppet_leave(uint64_t thunk, uint64_t flags, long eintr);
