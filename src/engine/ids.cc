#include "engine/ids.h"

#include <linux/kcmp.h>

#include "sys/file.h"
#include "sys/process.h"

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

// What tasks may share without being threads of one process.
struct ObjectType {
  int kcmp;
  void (Ids::*set)(uint32_t);
  const char* what;
};

constexpr uint32_t kOurs = 1;

const std::array<ObjectType, 4> kObjectTypes = {{
    {KCMP_VM, &Ids::set_vm_id, "memory"},
    {KCMP_FILES, &Ids::set_files_id, "descriptors"},
    {KCMP_FS, &Ids::set_fs_id, "root and working directory"},
    {KCMP_SIGHAND, &Ids::set_sighand_id, "signal actions"},
}};

}  // namespace

// The task that was the first one to have the object: possibly this one.
Result<ObjectIds::Seen> ObjectIds::find(size_t object, Pid pid) {
  std::vector<Seen>& seen = seen_[object];
  size_t from = 0, to = seen.size();
  while (from < to) {
    const size_t middle = from + (to - from) / 2;
    const int order =
        TRY(sys::kcmp(leader_of(pid), leader_of(seen[middle].pid), kObjectTypes[object].kcmp));
    if (order == 0) return seen[middle];
    if (order == 1)
      to = middle;
    else
      from = middle + 1;
  }
  const Seen fresh{pid, static_cast<uint32_t>(seen.size()) + kOurs + 1};
  seen.insert(seen.begin() + static_cast<ptrdiff_t>(from), fresh);
  return fresh;
}

Result<void> ObjectIds::assign(const TaskView& task, pb::inventory_entry& inventory,
                               pb::task_kobj_ids_entry& ids) {
  Ids& root = *inventory.mutable_root_ids();
  for (size_t i = 0; i < kObjects; ++i) {
    (root.*kObjectTypes[i].set)(kOurs);
    const Seen object = TRY(find(i, task.pid));
    (ids.*kObjectTypes[i].set)(object.id);
    if (object.pid != task.pid)
      task.block(
          "",
          fmt::format("shares its {} with process {}, which cannot be dumped yet",
                      kObjectTypes[i].what, object.pid),
          kObjectTypes[i].kcmp == KCMP_VM ? "it may be between vfork and exec: try again" : "");
  }
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
