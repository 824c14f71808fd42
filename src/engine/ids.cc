#include "engine/ids.h"

#include "sys/file.h"

namespace cryo {
namespace {

using Ids = pb::task_kobj_ids_entry;

struct NamespaceType {
  const char* name;
  void (Ids::*set)(uint32_t);
};

// In the order in which ids are given out.
const NamespaceType kNamespaces[] = {
    {"pid", &Ids::set_pid_ns_id},   {"net", &Ids::set_net_ns_id},
    {"ipc", &Ids::set_ipc_ns_id},   {"uts", &Ids::set_uts_ns_id},
    {"time", &Ids::set_time_ns_id}, {"mnt", &Ids::set_mnt_ns_id},
    {"user", &Ids::set_user_ns_id}, {"cgroup", &Ids::set_cgroup_ns_id},
};

void set_own_objects(Ids& ids, uint32_t id) {
  ids.set_vm_id(id);
  ids.set_files_id(id);
  ids.set_fs_id(id);
  ids.set_sighand_id(id);
}

}  // namespace

Result<void> assign_ids(const TaskView& task, pb::inventory_entry& inventory,
                        pb::task_kobj_ids_entry& ids) {
  Ids& root = *inventory.mutable_root_ids();
  set_own_objects(root, 1);
  set_own_objects(ids, 2);
  const Fd self = TRY(sys::open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  uint32_t next = 1;
  for (const NamespaceType& type : kNamespaces) {
    const std::string link = fmt::format("ns/{}", type.name);
    const Result<struct stat> ours = sys::fstatat(self, link, 0);
    if (!ours) continue;  // a kernel without this type
    const struct stat theirs = TRY(sys::fstatat(task.proc.dir(), link, 0));
    if (theirs.st_ino != ours.value().st_ino)
      task.block("", fmt::format("is in a {} namespace of its own", type.name),
                 "run cryo inside that namespace");
    (root.*type.set)(next);
    (ids.*type.set)(next);
    ++next;
  }
  return {};
}

Result<void> fill_inventory(pb::inventory_entry& inventory) {
  inventory.set_img_version(2);
  inventory.set_fdinfo_per_id(true);
  inventory.set_ns_per_id(true);
  inventory.set_root_cg_set(1);
  inventory.set_lsmtype(pb::NO_LSM);
  inventory.set_network_lock_method(0);
  (void)inventory.mutable_plugins_entry();
  std::string id = TRY(sys::read_file(FdRef(AT_FDCWD), "/proc/sys/kernel/random/uuid"));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  inventory.set_dump_criu_run_id(id);
  return {};
}

}  // namespace cryo
