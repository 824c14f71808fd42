// Between a thread's processor state and the images (core_entry: mtype and thread_info).
#pragma once

#include <cstdint>

#include "arch/registers.h"
#include "base/result.h"

namespace pb {
class core_entry;
}

namespace cryo::arch {

// Fills mtype: all that a core image says of the architecture when the task has ended.
void set_architecture(pb::core_entry& core);

// Fills mtype and thread_info. Registers are written as CRIU writes them: a call that was interrupted and
// will be restarted has been rewound to its system call instruction, so that a reader only loads them.
// `clear_tid` is what PR_GET_TID_ADDRESS gave.
void encode_thread(const ThreadState& state, uint64_t clear_tid, pb::core_entry& core);

// The state to load, in the layout of this host's CPU.
// Errors: bad_image for a wrong architecture or short arrays; unsupported for components that this CPU lacks.
Result<ThreadState> decode_thread(const pb::core_entry& core);
// Precondition: decode_thread() accepted `core`.
uint64_t clear_tid_of(const pb::core_entry& core);

// Processor state that CRIU's format has no room for (x86_64: AMX tiles), empty if there is none; and back.
std::vector<std::byte> extra_components(const ThreadState& state);
Result<void> add_extra_components(ThreadState& state, std::span<const std::byte> extra);

}  // namespace cryo::arch
