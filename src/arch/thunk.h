// The thunk: a few instructions in the zero tail of the task's vDSO image, the only thing that a dump
// leaves in the task besides the shared area, and the only record of how to undo it.
//
// It holds everything as immediate values: unmapping of the area, the signal mask, all general
// registers, and where to go on. Whoever runs it (the kernel, when the coordinator died in the middle
// of the injection; the puppet, when the coordinator died later) gives the task back to itself.
// It uses no stack and leaves the flags as they are. Two ways out: the interrupted call starts again,
// or it fails with EINTR.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "arch/registers.h"

namespace cryo::arch {

struct ThunkSpec {
  Registers registers;  // at the stop
  // At the stop, for processors whose way out cannot do without it (aarch64).
  std::span<const std::byte> extended;
  uint64_t mask;      // signal mask
  uint64_t address;   // where the thunk will lie
  uint64_t area = 0;  // leader: what to unmap
  uint64_t area_size = 0;
  uint64_t peer_word = 0;  // peer: the 32-bit word to clear; 0 in a leader's thunk
};

struct Thunk {
  std::vector<std::byte> code;
  size_t unmap_call = 0;  // a leader's: offset of the munmap instruction on the way out
  size_t leave =
      0;  // offset of the way out; carry flag set (x86_64) means EINTR. At offset 0: a system call first
};

Thunk build_thunk(const ThunkSpec& spec);

// Bytes that a thunk takes at most.
size_t thunk_size();
// Whether a thunk begins here: one that a killed dump has left behind.
bool is_thunk(std::span<const std::byte> code);

}  // namespace cryo::arch
