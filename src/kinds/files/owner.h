// Who gets the signals of an open file: F_SETOWN, F_SETSIG, O_ASYNC. They belong to the description, and the kernel
// remembers with whose ids the owner was set, because these decide whether the signal may be sent.
#pragma once

#include "plan/kind.h"

namespace cryo {

// `description` is a duplicate of the descriptor.
Result<void> capture_owner(const TaskView& task, const FdView& view, FdRef description,
                           pb::fown_entry& owner);

// For a new entry: nobody gets signals.
void set_no_owner(pb::fown_entry& owner);

// Sets owners, signals and O_ASYNC again, in the task: the ids have to be those of the image, and an owner may be one
// of its threads.
Result<void> compile_owners(TaskRestore& task);

}  // namespace cryo
