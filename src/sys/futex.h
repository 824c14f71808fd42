// Futexes: what the coordinator and a puppet talk through.
#pragma once

#include <linux/futex.h>

#include <cstdint>
#include <ctime>
#include <optional>
#include <span>

#include "base/result.h"

namespace cryo::sys {

enum class FutexWait : uint8_t { woken, changed, timed_out, interrupted };

// Waits while *word == expected. `timeout` is relative; none waits for ever. Shared between
// processes unless `flags` has FUTEX_PRIVATE_FLAG.
Result<FutexWait> futex_wait(const uint32_t* word, uint32_t expected,
                             const timespec* timeout = nullptr, int flags = 0);
// Returns how many were woken.
Result<int> futex_wake(const uint32_t* word, int most = 1, int flags = 0);

// struct futex_waitv (5.16).
struct FutexWaiter {
  uint64_t value = 0;
  uint64_t address = 0;
  uint32_t flags = 2;  // FUTEX_32 (FUTEX2_SIZE_U32), optionally FUTEX_PRIVATE_FLAG
  uint32_t reserved = 0;
};
static_assert(sizeof(FutexWaiter) == 24);
struct FutexWaitvResult {
  FutexWait what = FutexWait::woken;
  int index = -1;  // which was woken
};
// `deadline` is absolute on `clock`.
Result<FutexWaitvResult> futex_waitv(std::span<const FutexWaiter> waiters,
                                     const timespec* deadline = nullptr,
                                     clockid_t clock = CLOCK_MONOTONIC);

// The calling thread's robust list; the C library has one of its own registered.
Result<void> set_robust_list(const void* head, size_t length);

}  // namespace cryo::sys
