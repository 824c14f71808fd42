// What a stop has done to a thread beside stopping it, and how to take it back before anything else looks at its
// registers: the task that goes on and the one that is restored must not see it.
//
//  - A thread inside of a critical section (rseq(2)) has to go on at the section's abort handler: the kernel would
//    see to that, but forgets it as soon as the thread executes a call of ours.
//  - Some calls fail with EINTR only because of the stop (signal(7)). They start again.
//  - restart_syscall, which a wait becomes when it goes on after an interruption, means nothing in another task. The
//    image needs the call that it continues.
#pragma once

#include "plan/kind.h"
#include "procfs/reader.h"
#include "puppet/injection.h"

namespace cryo {

// `proc` is the task, `mem` its memory.
Result<void> take_back_the_stop(FrozenThread& thread, const procfs::ProcTask& proc, FdRef mem);

// Records which calls were interrupted and how, and how long their waits would still have taken. A warning when that
// is known only in part: such waits start with their full time.
void record_interrupted_calls(TaskCapture& task);

uint64_t monotonic_ns();

}  // namespace cryo
