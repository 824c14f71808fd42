// System calls that a stop interrupts, by their numbers on this architecture.
#pragma once

#include <linux/futex.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace cryo::arch {

// Waits with a relative time limit that the kernel continues with restart_syscall.
enum class TimedWait : uint8_t { none, nanosleep, clock_nanosleep, futex, poll };
TimedWait timed_wait(uint64_t nr);
std::optional<uint64_t> number_of(TimedWait wait);

// A limit that is a point in time (FUTEX_WAIT_BITSET): the kernel continues that call in the same way, but it may as
// well start again.
inline bool waits_until(uint64_t nr, uint64_t second_argument) {
  return timed_wait(nr) == TimedWait::futex &&
         (static_cast<int>(second_argument) & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
}

// Whether the call fails with EINTR at every stop, having done nothing (signal(7), "Interruption of system calls
// and library functions by stop signals").
bool fails_at_a_stop(uint64_t nr);

// The number of a timed wait that the instructions in front of a system call instruction load: what
// restart_syscall continues.
std::optional<uint64_t> timed_wait_in_code(std::span<const std::byte> code);

}  // namespace cryo::arch
