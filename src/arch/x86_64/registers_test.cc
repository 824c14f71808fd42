// What a thread has in its registers while it runs, to the last bit.
#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <thread>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

struct Registers {
  alignas(64) unsigned char vectors[32][64];
  uint64_t masks[8];
  uint64_t general[8];         // r8 and so on
  unsigned char stack[8][16];  // of the x87: 10 bytes each
  uint32_t mxcsr;
  uint16_t control;
};
static_assert(offsetof(Registers, masks) == 2048 && offsetof(Registers, general) == 2112);
static_assert(offsetof(Registers, stack) == 2176 && offsetof(Registers, mxcsr) == 2304);
static_assert(offsetof(Registers, control) == 2308);

struct Spin {
  Registers in{};
  Registers out{};
  std::atomic<uint32_t> loaded{0};
  std::atomic<uint32_t> go{0};
};
static_assert(offsetof(Spin, go) == offsetof(Spin, loaded) + 4);

// Loads what rdi points to, says so, spins, and stores to where rsi points.
#define LOAD_USUAL                                             \
  "ldmxcsr 2304(%%rdi)\n fninit\n fldcw 2308(%%rdi)\n"         \
  ".irp n,7,6,5,4,3,2,1,0\n fldt 2176+16*\\n(%%rdi)\n .endr\n" \
  ".irp n,8,9,10,11,12,13,14,15\n movq 2112+8*(\\n-8)(%%rdi), %%r\\n\n .endr\n"
#define SPIN "movl $1, (%%rdx)\n 1: pause\n cmpl $0, 4(%%rdx)\n je 1b\n"
#define STORE_USUAL                                             \
  "stmxcsr 2304(%%rsi)\n fnstcw 2308(%%rsi)\n"                  \
  ".irp n,0,1,2,3,4,5,6,7\n fstpt 2176+16*\\n(%%rsi)\n .endr\n" \
  ".irp n,8,9,10,11,12,13,14,15\n movq %%r\\n, 2112+8*(\\n-8)(%%rsi)\n .endr\n"
#define FIRST_16 ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n "
#define LAST_16 ".irp n,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n "
#define MASKS ".irp n,1,2,3,4,5,6,7\n "
#define RUN(loads, stores)                                                                         \
  __asm__ volatile(loads LOAD_USUAL SPIN STORE_USUAL stores                                        \
                   :                                                                               \
                   : "D"(&spin.in), "S"(&spin.out), "d"(&spin.loaded)                              \
                   : "memory", "cc", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", \
                     "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",       \
                     "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

void spin_sse(Spin& spin) {
  RUN(FIRST_16 "movdqu 64*\\n(%%rdi), %%xmm\\n\n .endr\n",
      FIRST_16 "movdqu %%xmm\\n, 64*\\n(%%rsi)\n .endr\n");
}

void spin_avx(Spin& spin) {
  RUN(FIRST_16 "vmovdqu 64*\\n(%%rdi), %%ymm\\n\n .endr\n",
      FIRST_16 "vmovdqu %%ymm\\n, 64*\\n(%%rsi)\n .endr\n vzeroupper\n");
}

void spin_avx512(Spin& spin) {
  RUN(FIRST_16 "vmovdqu64 64*\\n(%%rdi), %%zmm\\n\n .endr\n" LAST_16
               "vmovdqu64 64*\\n(%%rdi), %%zmm\\n\n .endr\n" MASKS
               "kmovq 2048+8*\\n(%%rdi), %%k\\n\n .endr\n",
      FIRST_16 "vmovdqu64 %%zmm\\n, 64*\\n(%%rsi)\n .endr\n" LAST_16
               "vmovdqu64 %%zmm\\n, 64*\\n(%%rsi)\n .endr\n" MASKS
               "kmovq %%k\\n, 2048+8*\\n(%%rsi)\n .endr\n vzeroupper\n");
}

struct Width {
  void (*spin)(Spin&);
  size_t vectors, bytes, masks;
};

void fill(Registers& in, const Width& width) {
  unsigned char next = 1;
  for (size_t i = 0; i < width.vectors; ++i)
    for (size_t at = 0; at < width.bytes; ++at) in.vectors[i][at] = next += 7;
  for (size_t i = 1; i < 1 + width.masks; ++i) in.masks[i] = 0x1234567890abcdef * i;
  for (size_t i = 0; i < 8; ++i) {
    in.general[i] = 0xfedcba9876543210 - i;
    const long double value = 1.0L / static_cast<long double>(3 + i);
    std::memcpy(in.stack[i], &value, 10);
  }
  in.mxcsr = 0x7f80 | 0x1f;  // rounds towards zero, all exceptions masked and raised
  in.control = 0x0f7f;       // rounds towards zero
}

// The state that the compiler's code expects.
void put_back() {
  const uint32_t mxcsr = 0x1f80;
  __asm__ volatile("fninit\n ldmxcsr %0" : : "m"(mxcsr));
}

template <class Checkpoint>
void expect_registers_kept(const Width& width, Checkpoint checkpoint) {
  Spin spin;
  fill(spin.in, width);
  constexpr uint64_t kGsBase = 0x123456789000;
  uint64_t gs = 0;
  std::thread thread([&] {
    syscall(SYS_arch_prctl, ARCH_SET_GS, kGsBase);
    width.spin(spin);
    put_back();
    syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
  });
  while (spin.loaded == 0) sched_yield();
  checkpoint();
  spin.go = 1;
  thread.join();
  EXPECT_EQ(std::memcmp(&spin.in, &spin.out, sizeof spin.in), 0);
  EXPECT_EQ(gs, kGsBase);
}

CHECKPOINT_TEST(Registers, of_sse) {
  expect_registers_kept({spin_sse, 16, 16, 0}, [this] { checkpoint(); });
}

CHECKPOINT_TEST(Registers, of_avx) {
  if (!__builtin_cpu_supports("avx")) GTEST_SKIP() << "not in this processor";
  expect_registers_kept({spin_avx, 16, 32, 0}, [this] { checkpoint(); });
}

CHECKPOINT_TEST(Registers, of_avx512) {
  if (!__builtin_cpu_supports("avx512bw")) GTEST_SKIP() << "not in this processor";
  expect_registers_kept({spin_avx512, 32, 64, 7}, [this] { checkpoint(); });
}

}  // namespace
}  // namespace cryo
