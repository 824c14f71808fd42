// One task of a dump, from /proc and the frozen threads to its images.
#pragma once

#include "engine/freeze.h"
#include "engine/ids.h"
#include "plan/capture.h"
#include "procfs/reader.h"
#include "trace/recorders.h"

namespace cryo {

// Before the freeze, of very many mappings only the first ones are looked at.
enum class Look : uint8_t { before, frozen };

// Reads what every kind looks at.
Result<TaskView> view_task(Capture& capture, Pid pid, const procfs::ProcTask& proc,
                           Recorders& recorders, Look look);

// All kinds look for what would block a dump.
Result<void> examine_task(const TaskView& view);

// The whole state of a frozen task. `life` and `tracer` are those of the operation; the task is as before
// afterwards, and still frozen.
Result<TaskImage> capture_task(Capture& capture, Pid pid, const procfs::ProcTask& proc,
                               const FrozenProcess& frozen, Recorders& recorders,
                               ObjectIds& objects, pb::inventory_entry& inventory);

// Of a task that has ended only its number, its family and its exit status are left.
Result<TaskImage> capture_zombie(const Capture& capture, Pid pid, const procfs::ProcTask& proc);

// Everything of a task but its memory, which is written already.
Result<void> write_task(ImageWriter& images, const TaskImage& image);

}  // namespace cryo
