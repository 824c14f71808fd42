// Kernel-object ids of the inventory and of ids-*.img: small integers, the tool's own objects first.
#pragma once

#include "plan/capture.h"

namespace cryo {

// Fills inventory.root_ids with the ids of our own objects, and `ids` of the task with those of its own. A task
// in a namespace other than ours blocks the dump.
Result<void> assign_ids(const TaskView& task, pb::inventory_entry& inventory,
                        pb::task_kobj_ids_entry& ids);

// The rest of the inventory.
Result<void> fill_inventory(pb::inventory_entry& inventory);

}  // namespace cryo
