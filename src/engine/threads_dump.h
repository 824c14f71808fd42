// The threads of a frozen task. Most threads of a process are alike in all that is not an address or a register, and
// the kernel can be asked which are (trace/thread_records.h): then one thread answers for them all.
#pragma once

#include <span>

#include "plan/capture.h"
#include "trace/thread_records.h"

namespace cryo {

// Fills task.threads, .statuses, .records and the threads of task.image, with what the stop had done to them taken
// back. Precondition: task.mem is open.
Result<void> take_threads(TaskCapture& task, std::span<const Stopped> stopped,
                          ThreadRecorder& recorder);

// Has the kinds' questions answered for all threads but the leader, whose own answers are there.
Result<void> ask_threads(TaskCapture& task, Injection& injection);

}  // namespace cryo
