// Runs a seccomp filter on a system call, as the kernel would: to know what it says before it matters.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <optional>
#include <span>

namespace cryo {

// The answer (SECCOMP_RET_*, with data) of one filter; none for a program that the kernel would not have taken.
std::optional<uint32_t> run_seccomp_program(std::span<const sock_filter> program,
                                            const seccomp_data& call);

// Does any path through the filter answer `action` (SECCOMP_RET_*, without data)? Answers that are computed are not
// seen.
bool may_answer(std::span<const sock_filter> program, uint32_t action);

// Of two answers the one that counts when both filters are in force.
uint32_t stricter_answer(uint32_t a, uint32_t b);

}  // namespace cryo
