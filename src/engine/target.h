// Whether a process can be the target of a dump at all, before any kind looks at it.
#pragma once

#include <vector>

#include "plan/report.h"
#include "procfs/reader.h"
#include "trace/thread_records.h"

namespace cryo {

// The process; an error that says what is wrong with the number when there is none.
Result<procfs::ProcTask> open_target(const procfs::ProcDir& proc, Pid pid);

// The children of a process, also those of its threads. `threads` is how many it has.
Result<std::vector<Pid>> children_of(Pid pid, const procfs::ProcTask& proc, size_t threads,
                                     ThreadRecorder& recorder);

// Adds what rules the process out: kernel threads, zombies, ourselves, processes that are traced.
Result<void> examine_target(const procfs::ProcDir& dir, Pid pid, const procfs::ProcTask& proc,
                            std::vector<Blocker>& blockers);

// After an attach that failed: who traces one of its threads, as advice. Empty when nobody does.
std::string who_traces(const procfs::ProcTask& proc);

}  // namespace cryo
