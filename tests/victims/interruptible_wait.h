// A futex wait whose system call instruction has a known address, so that a signal handler can tell whether
// it interrupted the call, and what the call is going to answer.
#pragma once

#include <ucontext.h>

#include <atomic>
#include <cstdint>

extern "C" {
long interruptible_wait(const std::atomic<uint32_t>* word, uint32_t value);
extern const char interruptible_wait_call[];   // the instruction
extern const char interruptible_wait_after[];  // the one after it
}

namespace cryo::victim {

inline const char* program_counter(const ucontext_t& context) {
#if defined(__x86_64__)
  return reinterpret_cast<const char*>(context.uc_mcontext.gregs[REG_RIP]);
#else
  return reinterpret_cast<const char*>(context.uc_mcontext.pc);
#endif
}

inline int64_t answer_of_call(const ucontext_t& context) {
#if defined(__x86_64__)
  return context.uc_mcontext.gregs[REG_RAX];
#else
  return static_cast<int64_t>(context.uc_mcontext.regs[0]);
#endif
}

}  // namespace cryo::victim
