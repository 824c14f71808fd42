// /proc/PID/status. Zombies and kernel threads have no memory lines; older kernels lack some
// others: what may be absent is optional.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cryo::procfs {

struct TaskStatus {
  std::string name;
  char state = '?';
  std::optional<uint32_t> umask;  // absent when the task has no fs any more
  int32_t tgid = 0;
  int32_t pid = 0;
  int32_t ppid = 0;
  int32_t tracer_pid = 0;
  std::array<uint32_t, 4> uids{};  // real, effective, saved, file system
  std::array<uint32_t, 4> gids{};
  std::vector<uint32_t> groups;
  uint64_t fd_size = 0;
  std::vector<int32_t> ns_tgid;  // outermost namespace (the reader's) first
  std::vector<int32_t> ns_pid;
  std::vector<int32_t> ns_pgid;
  std::vector<int32_t> ns_sid;
  bool kernel_thread = false;  // 6.8
  bool has_mm = false;         // the Vm* lines are there

  uint64_t vm_size = 0;  // bytes
  uint64_t vm_locked = 0;
  uint64_t vm_pinned = 0;
  uint64_t vm_rss = 0;
  uint64_t rss_anon = 0;
  uint64_t rss_file = 0;
  uint64_t rss_shmem = 0;
  uint64_t vm_swap = 0;
  uint64_t hugetlb = 0;
  std::optional<bool> thp_enabled;  // 5.0
  std::optional<uint64_t> untag_mask;
  bool core_dumping = false;

  uint32_t threads = 0;
  uint64_t signals_queued = 0;
  uint64_t signals_limit = 0;
  uint64_t sig_pending = 0;  // of this thread
  uint64_t shd_pending = 0;  // of the thread group
  uint64_t sig_blocked = 0;
  uint64_t sig_ignored = 0;
  uint64_t sig_caught = 0;

  uint64_t cap_inheritable = 0;
  uint64_t cap_permitted = 0;
  uint64_t cap_effective = 0;
  uint64_t cap_bounding = 0;
  uint64_t cap_ambient = 0;
  bool no_new_privs = false;
  uint32_t seccomp = 0;  // 0, 1 strict, 2 filter
  uint32_t seccomp_filters = 0;
  std::string speculation_store_bypass;  // as the kernel words it
  std::string speculation_indirect_branch;
  std::string x86_thread_features;  // "shstk wrss": 6.6, empty where the line is absent
  std::string x86_thread_features_locked;
  std::string cpus_allowed_list;
  std::string mems_allowed_list;

  bool zombie() const { return state == 'Z' || state == 'X'; }
};

Result<TaskStatus> parse_status(std::string_view text);

}  // namespace cryo::procfs
