#include "plan/host.h"

#include <algorithm>

#include "arch/host_probe.h"
#include "base/result.h"
#include "plan/host_probes.h"

namespace cryo {
namespace {

using F = Feature;

constexpr FeatureRow kRows[] = {
    {F::map_files, "map_files", Need::always, "mappings cannot be told apart or read",
     probes::map_files},
    {F::kcmp, "kcmp", Need::always, "shared files and memory cannot be recognised", probes::kcmp},
    {F::set_mm_map, "set_mm_map", Need::always, "the layout of a process cannot be restored",
     probes::set_mm_map},
    {F::get_tid_address, "get_tid_address", Need::always, "threads cannot be dumped",
     probes::get_tid_address},
    {F::peeksiginfo, "peeksiginfo", Need::always, "pending signals cannot be dumped",
     probes::peeksiginfo},
    {F::clone3_set_tid, "clone3_set_tid", Need::always, "pids cannot be restored",
     probes::clone3_set_tid},
    {F::mnt_id, "mnt_id", Need::always, "the mounts of open files are not known", probes::mnt_id},
    {F::pidfd_getfd, "pidfd_getfd", Need::always, "open files cannot be inspected",
     probes::pidfd_getfd},
    {F::futex_waitv, "futex_waitv", Need::always, "a process cannot be dumped safely",
     probes::futex_waitv},
    {F::openat2, "openat2", Need::always, "paths cannot be opened safely", probes::openat2},

    {F::seccomp_suspend, "seccomp_suspend", Need::some, "processes with seccomp cannot be dumped",
     probes::seccomp_suspend},
    {F::seccomp_filters, "seccomp_filters", Need::some,
     "processes with seccomp filters cannot be dumped", probes::seccomp_filters},
    {F::get_rseq_conf, "get_rseq_conf", Need::some,
     "processes with restartable sequences cannot be dumped", probes::get_rseq_conf},
    {F::timer_cr_ids, "timer_cr_ids", Need::some, "POSIX timers with large ids are restored slowly",
     probes::timer_cr_ids},
    {F::timerfd, "timerfd", Need::some, "timerfds cannot be dumped", probes::timerfd},
    {F::can_map_vdso, "can_map_vdso", Need::some, "a vdso can only be moved, not made",
     arch::can_map_vdso},
    {F::memfd_hugetlb, "memfd_hugetlb", Need::some, "memfds of huge pages cannot be restored",
     probes::memfd_hugetlb},
    {F::loginuid, "loginuid", Need::some, "the login user of a process is not restored",
     probes::loginuid},
    {F::aio_remap, "aio_remap", Need::some, "asynchronous I/O contexts cannot be restored",
     probes::aio_remap},
    {F::kcmp_epoll, "kcmp_epoll", Need::some, "some epoll sets cannot be dumped",
     probes::kcmp_epoll},
    {F::fdinfo_lock, "fdinfo_lock", Need::some, "file locks cannot be seen", probes::fdinfo_lock},
    {F::owner_uids, "owner_uids", Need::some, "owners of signals of files cannot be dumped",
     probes::owner_uids},
    {F::ns_pid, "ns_pid", Need::some, "pids within namespaces are not known", probes::ns_pid},
    {F::syscall_user_dispatch, "syscall_user_dispatch", Need::some,
     "syscall user dispatch cannot be dumped", probes::syscall_user_dispatch},
    {F::set_vma_name, "set_vma_name", Need::some, "names of anonymous memory are lost",
     probes::set_vma_name},
    {F::droppable_memory, "droppable_memory", Need::some, "droppable mappings cannot be restored",
     probes::droppable_memory},

    {F::pagemap_scan, "pagemap_scan", Need::better, "finding pages takes longer",
     probes::pagemap_scan},
    {F::pagemap_scan_guard_pages, "pagemap_scan_guard_pages", Need::better,
     "guard pages cannot be seen", probes::pagemap_scan_guard_pages},
    {F::guard_pages, "guard_pages", Need::better, "guard pages cannot be restored",
     probes::guard_pages},
    {F::set_syscall_info, "set_syscall_info", Need::better, "registers are set the older way",
     probes::set_syscall_info},
    {F::membarrier_registrations, "membarrier_registrations", Need::better,
     "membarrier registrations are lost", probes::membarrier_registrations},
    {F::memory_merge, "memory_merge", Need::better, "the wish to merge equal pages is lost",
     probes::memory_merge},

    {F::mem_dirty_track, "mem_dirty_track", Need::later, "", nullptr},
    {F::tun, "tun", Need::later, "", nullptr},
    {F::tun_ns, "tun_ns", Need::later, "", nullptr},
    {F::userns, "userns", Need::later, "", nullptr},
    {F::cgroupns, "cgroupns", Need::later, "", nullptr},
    {F::autofs, "autofs", Need::later, "", nullptr},
    {F::tcp_half_closed, "tcp_half_closed", Need::later, "", nullptr},
    {F::compat_cr, "compat_cr", Need::later, "", nullptr},
    {F::uffd, "uffd", Need::later, "", nullptr},
    {F::uffd_noncoop, "uffd-noncoop", Need::later, "", nullptr},
    {F::sk_ns, "sk_ns", Need::later, "", nullptr},
    {F::sk_unix_file, "sk_unix_file", Need::later, "", nullptr},
    {F::net_diag_raw, "net_diag_raw", Need::later, "", nullptr},
    {F::nsid, "nsid", Need::later, "", nullptr},
    {F::link_nsid, "link_nsid", Need::later, "", nullptr},
    {F::timens, "timens", Need::later, "", nullptr},
    {F::external_net_ns, "external_net_ns", Need::later, "", nullptr},
    {F::newifindex, "newifindex", Need::later, "", nullptr},
    {F::nftables, "nftables", Need::later, "", nullptr},
    {F::has_ipt_legacy, "has_ipt_legacy", Need::later, "", nullptr},
    {F::pidfd_store, "pidfd_store", Need::later, "", nullptr},
    {F::apparmor_stacking, "apparmor_stacking", Need::later, "", nullptr},
    {F::network_lock_nftables, "network_lock_nftables", Need::later, "", nullptr},
    {F::sockopt_buf_lock, "sockopt_buf_lock", Need::later, "", nullptr},
    {F::move_mount_set_group, "move_mount_set_group", Need::later, "", nullptr},
    {F::ipv6_freebind, "ipv6_freebind", Need::later, "", nullptr},
    {F::overlayfs_maps, "overlayfs_maps", Need::later, "", nullptr},
    {F::breakpoints, "breakpoints", Need::later, "", nullptr},
};
static_assert(std::size(kRows) == kFeatures);

}  // namespace

std::span<const FeatureRow> feature_rows() { return kRows; }

const FeatureRow* find_feature(std::string_view name) {
  const auto* found = std::find_if(std::begin(kRows), std::end(kRows),
                                   [&](const FeatureRow& row) { return name == row.name; });
  return found == std::end(kRows) ? nullptr : found;
}

bool Host::has(Feature feature) {
  const FeatureRow& row = kRows[static_cast<size_t>(feature)];
  CHECK(row.feature == feature);
  std::optional<bool>& known = known_[static_cast<size_t>(feature)];
  if (!known) known = row.probe != nullptr && row.probe();
  return *known;
}

}  // namespace cryo
