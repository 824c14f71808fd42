// What a thread can switch for itself in one architecture only.
#pragma once

#include <cstdint>

namespace cryo::arch {

// A system call that tells the value with `get` as its first argument, and sets it with `set` and the value.
struct ThreadSwitch {
  long nr;  // -1: there is no such thing here
  uint64_t get, set;
};

// Whether the CPUID instruction is allowed.
ThreadSwitch cpuid_switch();

}  // namespace cryo::arch
