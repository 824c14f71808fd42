#include "plan/host.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <set>
#include <string>

#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

TEST(Host, HasARowForEveryFeature) {
  std::set<std::string> names;
  size_t index = 0;
  for (const FeatureRow& row : feature_rows()) {
    EXPECT_EQ(static_cast<size_t>(row.feature), index++);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(find_feature(row.name), &row);
    EXPECT_EQ(row.probe == nullptr, row.need == Need::later) << row.name;
  }
  EXPECT_EQ(index, kFeatures);
  EXPECT_EQ(find_feature("bogus"), nullptr);
}

TEST(Host, KnowsEveryNameThatCriuChecks) {
  for (const char* name : {"mnt_id",
                           "mem_dirty_track",
                           "aio_remap",
                           "timerfd",
                           "tun",
                           "tun_ns",
                           "userns",
                           "fdinfo_lock",
                           "seccomp_suspend",
                           "seccomp_filters",
                           "loginuid",
                           "cgroupns",
                           "autofs",
                           "tcp_half_closed",
                           "compat_cr",
                           "uffd",
                           "uffd-noncoop",
                           "can_map_vdso",
                           "sk_ns",
                           "sk_unix_file",
                           "net_diag_raw",
                           "nsid",
                           "link_nsid",
                           "kcmp_epoll",
                           "timens",
                           "external_net_ns",
                           "clone3_set_tid",
                           "newifindex",
                           "nftables",
                           "has_ipt_legacy",
                           "pidfd_store",
                           "ns_pid",
                           "apparmor_stacking",
                           "network_lock_nftables",
                           "sockopt_buf_lock",
                           "memfd_hugetlb",
                           "move_mount_set_group",
                           "openat2",
                           "get_rseq_conf",
                           "ipv6_freebind",
                           "pagemap_scan",
                           "timer_cr_ids",
                           "overlayfs_maps",
                           "breakpoints",
                           "pagemap_scan_guard_pages"})
    EXPECT_NE(find_feature(name), nullptr) << name;
}

size_t open_descriptors() { return sys::list_numbers(sys::cwd(), "/proc/self/fd").value().size(); }
size_t mappings() {
  const std::string maps = sys::read_file(sys::cwd(), "/proc/self/maps").value();
  return static_cast<size_t>(std::count(maps.begin(), maps.end(), '\n'));
}

std::string children() {
  return sys::read_file(sys::cwd(), fmt::format("/proc/self/task/{}/children", sys::gettid()))
      .value();
}

TEST(Host, ProbesLeaveNothingBehind) {
  Host warm;  // what the allocator maps, it maps in this round
  for (const FeatureRow& row : feature_rows()) (void)warm.has(row.feature);
  const size_t descriptors = open_descriptors();
  const size_t maps = mappings();
  const std::string before = children();
  Host host;
  for (const FeatureRow& row : feature_rows()) (void)host.has(row.feature);
  EXPECT_EQ(open_descriptors(), descriptors);
  if (!CRYO_SANITIZED) {
    EXPECT_EQ(mappings(), maps);  // the sanitizer has mappings of its own
  }
  EXPECT_EQ(children(), before);
}

TEST(Host, NeedsNothingThatItIsNotProbedFor) {
  Host host;
  EXPECT_FALSE(host.has(Feature::tun));
}

}  // namespace
}  // namespace cryo
