// Kernel-object ids of the inventory and of ids-*.img: small integers, the tool's own objects first.
#pragma once

#include <array>

#include "plan/capture.h"

namespace cryo {

// The ids of the objects of a tree's tasks: the same for those who share one.
class ObjectIds {
 public:
  // Fills inventory.root_ids with the ids of our own objects, and `ids` with those of the task. A task in a namespace
  // other than ours blocks the dump, as does one that shares what cannot be shared in a restore.
  Result<void> assign(const TaskView& task, pb::inventory_entry& inventory,
                      pb::task_kobj_ids_entry& ids);

 private:
  struct Seen {
    Pid pid;
    uint32_t id;
  };
  static constexpr size_t kObjects = 4;
  Result<Seen> find(size_t object, Pid pid);

  std::array<std::vector<Seen>, kObjects> seen_;  // in the kernel's order
};

// The rest of the inventory.
Result<void> fill_inventory(pb::inventory_entry& inventory);

}  // namespace cryo
