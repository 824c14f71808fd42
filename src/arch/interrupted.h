// System calls that a stop interrupts, by their numbers on this architecture.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace cryo::arch {

// Waits with a relative time limit that the kernel continues with restart_syscall.
enum class TimedWait : uint8_t { none, nanosleep, clock_nanosleep, futex, poll };
TimedWait timed_wait(uint64_t nr);
std::optional<uint64_t> number_of(TimedWait wait);

// Whether the call fails with EINTR at every stop, having done nothing (signal(7), "Interruption of system calls
// and library functions by stop signals").
bool fails_at_a_stop(uint64_t nr);

// Whether this function of the kernel is what calls the functions of the system calls.
bool makes_system_calls(std::string_view function);

// The number of a timed wait that the instructions in front of a system call instruction load: what
// restart_syscall continues.
std::optional<uint64_t> timed_wait_in_code(std::span<const std::byte> code);

}  // namespace cryo::arch
