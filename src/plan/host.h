// Host: what the running kernel has. Each feature is probed when it is first asked for, leaves nothing
// behind, and is remembered for the life of the Host.
//
// The names are those of `criu check --feature`, with some of ours. Features of areas that cryo does not
// handle yet have a row without a probe: whatever the kernel has, cryo cannot use it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace cryo {

enum class Feature : uint8_t {
  // needed always
  map_files,
  kcmp,
  set_mm_map,
  get_tid_address,
  peeksiginfo,
  clone3_set_tid,
  mnt_id,
  pidfd_getfd,
  futex_waitv,
  openat2,
  // needed by some processes
  seccomp_suspend,
  seccomp_filters,
  get_rseq_conf,
  timer_cr_ids,
  timerfd,
  can_map_vdso,
  memfd_hugetlb,
  loginuid,
  aio_remap,
  kcmp_epoll,
  fdinfo_lock,
  owner_uids,
  ns_pid,
  syscall_user_dispatch,
  set_vma_name,
  droppable_memory,
  // faster or newer
  pagemap_scan,
  pagemap_scan_guard_pages,
  guard_pages,
  set_syscall_info,
  membarrier_registrations,
  memory_merge,
  // of areas to come
  mem_dirty_track,
  tun,
  tun_ns,
  userns,
  cgroupns,
  autofs,
  tcp_half_closed,
  compat_cr,
  uffd,
  uffd_noncoop,
  sk_ns,
  sk_unix_file,
  net_diag_raw,
  nsid,
  link_nsid,
  timens,
  external_net_ns,
  newifindex,
  nftables,
  has_ipt_legacy,
  pidfd_store,
  apparmor_stacking,
  network_lock_nftables,
  sockopt_buf_lock,
  move_mount_set_group,
  ipv6_freebind,
  overlayfs_maps,
  breakpoints,
};
constexpr size_t kFeatures = static_cast<size_t>(Feature::breakpoints) + 1;

enum class Need : uint8_t { always, some, better, later };

struct FeatureRow {
  Feature feature;
  const char* name;
  Need need;
  const char* loss;  // what does not work without it
  bool (*probe)();   // nullptr: cryo does not use it yet
};

std::span<const FeatureRow> feature_rows();  // indexed by Feature
const FeatureRow* find_feature(std::string_view name);

class Host {
 public:
  bool has(Feature feature);

 private:
  std::vector<std::optional<bool>> known_ = std::vector<std::optional<bool>>(kFeatures);
};

}  // namespace cryo
