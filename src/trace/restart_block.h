// What a thread that was interrupted in a wait with a time limit will continue: the kernel's struct restart_block of
// the thread (include/linux/restart_block.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "arch/interrupted.h"
#include "base/result.h"
#include "sys/btf.h"

namespace cryo {

struct RestartBlock {
  // `nanosleep` stands for clock_nanosleep(2), too: both sleep in the same way.
  arch::TimedWait wait = arch::TimedWait::none;
  int32_t clock = 0;      // what `until_ns` counts, as clock_gettime(2) of the thread names it
  uint64_t until_ns = 0;  // 0: for ever
};

// Where its parts are; bytes.
struct RestartBlockLayout {
  uint32_t function, futex_time, nanosleep_clock, nanosleep_expires, poll_has_timeout, poll_end;

  // ENOENT: the kernel's is another one than we know.
  static Result<RestartBlockLayout> find(const sys::Btf& btf, uint32_t type);
};

// `function` is the name of the kernel's function that `block` points to.
RestartBlock decode_restart_block(std::string_view function, std::span<const std::byte> block,
                                  const RestartBlockLayout& layout);

}  // namespace cryo
