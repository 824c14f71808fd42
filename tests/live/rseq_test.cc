#include <linux/membarrier.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

volatile uint32_t* cpu_of_this_thread() {
  return reinterpret_cast<uint32_t*>(static_cast<char*>(__builtin_thread_pointer()) +
                                     __rseq_offset + 4);
}

// The kernel writes the field whenever the thread is moved, if it is registered.
bool kernel_writes() {
  *cpu_of_this_thread() = 12345;
  for (int i = 0; i < 1000 && *cpu_of_this_thread() == 12345; ++i) usleep(1000);
  return *cpu_of_this_thread() != 12345;
}

CHECKPOINT_TEST(Rseq, stays_registered_in_each_thread) {
  live::Gate go;
  live::Threads threads(2, [&](int) {
    go.wait();
    EXPECT_TRUE(kernel_writes());
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  EXPECT_TRUE(kernel_writes());
  go.open();
  threads.join();
}

CHECKPOINT_TEST(Membarrier, stays_registered) {
  ASSERT_EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0), 0);
  const long before = syscall(SYS_membarrier, 1 << 9, 0, 0);
  checkpoint();
  EXPECT_EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), 0);
  EXPECT_EQ(syscall(SYS_membarrier, 1 << 9, 0, 0), before);
}

#if defined(__x86_64__)
std::atomic<bool> leave_section{false};

// Counts up inside of a critical section until it is aborted or told to end. Returns whether it was aborted.
__attribute__((noinline)) bool stay_in_section(std::atomic<uint64_t>& turns) {
  auto* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  uint32_t aborted = 0;
  asm volatile(
      ".pushsection .data.rel, \"aw\"\n"
      ".balign 32\n"
      "7: .long 0, 0\n .quad 1f, 2f - 1f, 4f\n"
      ".popsection\n"
      "leaq 7b(%%rip), %%rax\n"
      "movq %%rax, 8(%[area])\n"
      "1: incq (%[turns])\n"
      "cmpb $0, (%[leave])\n"
      "je 1b\n"
      "2: jmp 5f\n"
      ".byte 0x0f, 0xb9, 0x3d\n .long 0x53053053\n"
      "4: movl $1, %[aborted]\n"
      "5:\n"
      : [aborted] "+r"(aborted)
      : [area] "r"(area), [turns] "r"(&turns), [leave] "r"(&leave_section)
      : "rax", "memory", "cc");
  return aborted != 0;
}

CHECKPOINT_TEST(Rseq, critical_section_is_aborted) {
  std::atomic<bool> aborted{false};
  std::atomic<uint64_t> turns{0};
  // Being preempted aborts it too: it starts again until the checkpoint has been there.
  std::atomic<bool> end{false};
  live::Threads threads(1, [&](int) {
    while (!end) aborted = stay_in_section(turns);
  });
  while (turns < 1000) sched_yield();
  checkpoint();
  const uint64_t at = turns;
  while (turns < at + 1000) sched_yield();
  end = true;
  leave_section = true;
  threads.join();
}
#endif

}  // namespace
}  // namespace cryo
