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

// Whether the thread is in a wait that will go on for a part of its time, and only the thread's record tells for how
// long, or which call it is.
bool waits_for_unknown_time(const FrozenThread& thread, FdRef mem);

// Records which call was interrupted and how, and how long its wait would still have taken. Without a record of the
// thread the last is mostly not known: the wait will start with its full time.
void record_interrupted_call(ThreadCapture& thread);

}  // namespace cryo
