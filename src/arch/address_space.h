// The address space of a task.
#pragma once

#include <cstdint>

namespace cryo::arch {

// The end of the addresses that the kernel gives a program that does not ask for others.
uint64_t user_space_end();

}  // namespace cryo::arch
