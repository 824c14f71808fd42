// One task of a dump, from /proc and the frozen threads to its images.
#pragma once

#include "engine/freeze.h"
#include "plan/capture.h"
#include "procfs/reader.h"

namespace cryo {

// Reads what every kind looks at, but of the mappings only the first ones. Works on running tasks too.
Result<TaskView> view_task(Capture& capture, Pid pid, const procfs::ProcTask& proc,
                           size_t most_mappings = SIZE_MAX);

// All kinds look for what would block a dump.
Result<void> examine_task(const TaskView& view);

// The whole state of a frozen task. `life` and `tracer` are those of the operation; the task is as before
// afterwards, and still frozen.
Result<TaskImage> capture_task(Capture& capture, Pid pid, const procfs::ProcTask& proc,
                               const FrozenProcess& frozen, pb::inventory_entry& inventory);

// Everything of a task but its memory, which is written already.
Result<void> write_task(ImageWriter& images, const TaskImage& image);

}  // namespace cryo
