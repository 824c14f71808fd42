// What a thread that was interrupted in a wait with a time limit will continue: the kernel's struct restart_block of
// the thread (include/linux/restart_block.h). No interface shows it, so a BPF program reads it, at the places that
// the kernel's own BTF names; of all threads of a process in about a tenth of a millisecond.
// Kernel 6.1 with BTF, CAP_BPF and CAP_PERFMON.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "arch/interrupted.h"
#include "base/ids.h"
#include "base/result.h"

namespace cryo {

struct RestartBlock {
  // `nanosleep` stands for clock_nanosleep(2), too: both sleep in the same way.
  arch::TimedWait wait = arch::TimedWait::none;
  int32_t clock = 0;      // what `until_ns` counts, as clock_gettime(2) of the thread names it
  uint64_t until_ns = 0;  // 0: for ever
};

// By the threads' numbers in their own PID namespace. What a thread that is not in a wait has there is left from an
// earlier one.
using RestartBlocks = std::unordered_map<int32_t, RestartBlock>;
Result<RestartBlocks> read_restart_blocks(Pid pid);

// A line of the program's. For tests.
struct RestartBlockLayout {
  // Bytes, from the start of the union.
  uint32_t futex_time, nanosleep_clock, nanosleep_expires, poll_has_timeout, poll_end;
};
Result<RestartBlocks> parse_restart_blocks(std::string_view text, const RestartBlockLayout& layout);

}  // namespace cryo
