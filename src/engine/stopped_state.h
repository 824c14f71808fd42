// What a stop has done to a thread beside stopping it, and how to take it back before anything else looks at its
// registers: the task that goes on and the one that is restored must not see it.
//
//  - A thread inside of a critical section (rseq(2)) has to go on at the section's abort handler: the kernel would
//    see to that, but forgets it as soon as the thread executes a call of ours.
//  - Some calls fail with EINTR only because of the stop (signal(7)). They start again.
//  - restart_syscall, which a wait becomes when it goes on after an interruption, means nothing in another task. The
//    image needs the call that it continues.
#pragma once

#include "model/snapshot.h"
#include "procfs/reader.h"
#include "puppet/injection.h"

namespace cryo {

// `proc` is the task, `mem` its memory.
Result<void> take_back_the_stop(FrozenThread& thread, const procfs::ProcTask& proc, FdRef mem);

// Records in `image` which call was interrupted and how, and how long its wait would still have taken.
// The kernel tells the latter only to sleeps that ask for it. For the others it is found in the kernel's list of
// timers: the thread alone goes on waiting for a moment, and the timer that appears is its own. No further thread
// is treated so after `until_ns` (CLOCK_MONOTONIC): those waits will start with their full time.
Result<void> record_interrupted_call(FrozenThread& thread, const procfs::ProcTask& proc, FdRef mem,
                                     uint64_t until_ns, pb::cryo_thread_entry& image);

uint64_t monotonic_ns();

}  // namespace cryo
