#include "procfs/task_files.h"

#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "procfs/mountinfo.h"
#include "procfs/text.h"
#include "sys/uapi.h"

namespace cryo::procfs {
namespace {

constexpr std::string_view kLimitsText =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max cpu time              unlimited            unlimited            seconds   \n"
    "Max file size             unlimited            unlimited            bytes     \n"
    "Max data size             unlimited            unlimited            bytes     \n"
    "Max stack size            8388608              unlimited            bytes     \n"
    "Max core file size        0                    unlimited            bytes     \n"
    "Max resident set          unlimited            unlimited            bytes     \n"
    "Max processes             96365                96365                processes \n"
    "Max open files            20000                30000                files     \n"
    "Max locked memory         8388608              8388608              bytes     \n"
    "Max address space         unlimited            unlimited            bytes     \n"
    "Max file locks            unlimited            unlimited            locks     \n"
    "Max pending signals       96365                96365                signals   \n"
    "Max msgqueue size         819200               819200               bytes     \n"
    "Max nice priority         0                    0                    \n"
    "Max realtime priority     0                    7                    \n"
    "Max realtime timeout      unlimited            unlimited            us        \n";

TEST(ProcfsLimits, parses_all) {
  const std::array<Limit, kLimits> limits = parse_limits(kLimitsText).value();
  EXPECT_EQ(limits[RLIMIT_STACK].soft, 8388608U);
  EXPECT_EQ(limits[RLIMIT_STACK].hard, ~uint64_t{0});
  EXPECT_EQ(limits[RLIMIT_NOFILE].soft, 20000U);
  EXPECT_EQ(limits[RLIMIT_NOFILE].hard, 30000U);
  EXPECT_EQ(limits[RLIMIT_RTPRIO].hard, 7U);
  EXPECT_EQ(limits[RLIMIT_RTTIME].soft, ~uint64_t{0});
}

TEST(ProcfsLimits, refuses_incomplete_text) {
  for (size_t length = 0; length + 40 < kLimitsText.size(); ++length) {
    EXPECT_FALSE(parse_limits(kLimitsText.substr(0, length))) << length;
  }
}

constexpr std::string_view kTimers =
    "ID: 2\nsignal: 34/0000000000001234\nnotify: none/pid.25266\nClockID: 0\n"
    "ID: 1\nsignal: 34/0000000000001234\nnotify: signal/tid.25266\nClockID: -6\n"
    "ID: 0\nsignal: 10/ffff8000000012ab\nnotify: thread/pid.25266\nClockID: 1\n";

TEST(ProcfsTimers, parses_all) {
  const std::vector<PosixTimer> timers = parse_timers(kTimers).value();
  ASSERT_EQ(timers.size(), 3U);
  EXPECT_EQ(timers[0].id, 2);
  EXPECT_EQ(timers[0].notify, SIGEV_NONE);
  EXPECT_EQ(timers[0].clock, 0);
  EXPECT_EQ(timers[1].notify, SIGEV_SIGNAL | SIGEV_THREAD_ID);
  EXPECT_EQ(timers[1].target, 25266);
  EXPECT_EQ(timers[1].clock, -6);
  EXPECT_EQ(timers[2].signal, 10);
  EXPECT_EQ(timers[2].value, 0xffff8000000012abU);
  EXPECT_EQ(timers[2].notify, SIGEV_THREAD);
  EXPECT_TRUE(parse_timers("").value().empty());
}

TEST(ProcfsTimers, refuses_malformed_text) {
  EXPECT_FALSE(parse_timers("ID: x\n"));
  EXPECT_FALSE(parse_timers("ID: 1\nsignal: 34/12\nnotify: pigeon/pid.1\nClockID: 0\n"));
  for (size_t length = 1; length < kTimers.find("ID: 1"); ++length)
    EXPECT_FALSE(parse_timers(kTimers.substr(0, length))) << length;
}

TEST(ProcfsAuxv, parses_both_word_sizes) {
  const uint64_t wide[] = {33, 0x7fff0000, 51, 3632, 0, 0, 99, 99};
  std::string bytes(sizeof wide, '\0');
  std::memcpy(bytes.data(), wide, sizeof wide);
  const std::vector<AuxEntry> entries = parse_auxv(bytes).value();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1], AuxEntry(51, 3632));
  const uint32_t narrow[] = {33, 0xf7f00000, 0, 0};
  bytes.assign(sizeof narrow, '\0');
  std::memcpy(bytes.data(), narrow, sizeof narrow);
  EXPECT_EQ(parse_auxv(bytes, 4).value().at(0), AuxEntry(33, 0xf7f00000));
  EXPECT_TRUE(parse_auxv("").value().empty());
  EXPECT_FALSE(parse_auxv("123456789"));
  EXPECT_FALSE(parse_auxv(std::string(16, 'x')));
}

TEST(ProcfsSyscall, parses_every_form) {
  EXPECT_TRUE(parse_syscall("running\n").value().running);
  const SyscallState blocked = parse_syscall("-1 0x7ffe 0x55aa\n").value();
  EXPECT_EQ(blocked.number, -1);
  EXPECT_EQ(blocked.sp, 0x7ffeU);
  const SyscallState call = parse_syscall(
                                "0 0x3 0x7f75dbf6f000 0x20000 0x7f75dc000b60 0xffffffff 0x0 "
                                "0x7ffff180d428 0x7f75dc0e92ad\n")
                                .value();
  EXPECT_EQ(call.number, 0);
  EXPECT_EQ(call.args[1], 0x7f75dbf6f000U);
  EXPECT_EQ(call.pc, 0x7f75dc0e92adU);
  for (const std::string_view text : {"", "x", "-1", "0 0x3", "-1 0x", "0 1 2 3 4 5 6 7"})
    EXPECT_FALSE(parse_syscall(text)) << text;
}

TEST(ProcfsNumaMaps, parses_policies) {
  const std::vector<NumaPolicy> policies =
      parse_numa_maps(
          "55adfdab8000 default file=/tmp/p/v dirty=2 active=1 N0=2 kernelpagesize_kB=4\n"
          "7fb2c0a61000 interleave:0-2,5\n"
          "7fb2c0a63000 weighted interleave:0\n"
          "7fb2c0a65000 prefer (many):0\n"
          "7fb2c0a67000 bind=static:0 anon=1 dirty=1\n"
          "7fb2c0a68000 bind=relative|balancing:1\n"
          "7fb2c0a69000 prefer:1\n"
          "7fb2c0a6a000 local\n"
          "7fb2c0c57000 default file=/dev/zero\\040(deleted)\n")
          .value();
  ASSERT_EQ(policies.size(), 7U);
  EXPECT_EQ(policies[0].mode, MPOL_INTERLEAVE);
  EXPECT_EQ(policies[0].nodes, (std::vector<uint32_t>{0, 1, 2, 5}));
  EXPECT_EQ(policies[1].mode, MPOL_WEIGHTED_INTERLEAVE);
  EXPECT_EQ(policies[2].mode, MPOL_PREFERRED_MANY);
  EXPECT_EQ(policies[3].start, 0x7fb2c0a67000U);
  EXPECT_EQ(policies[3].mode, MPOL_BIND);
  EXPECT_EQ(policies[3].flags, static_cast<unsigned>(MPOL_F_STATIC_NODES));
  EXPECT_EQ(policies[4].flags,
            static_cast<unsigned>(MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING));
  EXPECT_EQ(policies[5].mode, MPOL_PREFERRED);
  EXPECT_EQ(policies[6].mode, MPOL_LOCAL);
}

TEST(ProcfsNumaMaps, refuses_malformed_text) {
  for (const std::string_view text : {"x", "1000", "1000 never", "1000 bind=odd:0", "1000 bind:",
                                      "1000 bind:x", "1000 bind:3-1", "1000 bind:0-99999999"}) {
    EXPECT_FALSE(parse_numa_maps(text)) << text;
  }
}

TEST(ProcfsCgroup, parses_both_versions) {
  const std::vector<CgroupMembership> all =
      parse_cgroup("9:name=systemd:/\n4:memory:/a/b:c\n2:cpu,cpuacct:/\n0::/user.slice\n").value();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].controllers, "name=systemd");
  EXPECT_EQ(all[1].hierarchy, 4U);
  EXPECT_EQ(all[1].path, "/a/b:c");
  EXPECT_EQ(all[3].hierarchy, 0U);
  EXPECT_EQ(all[3].controllers, "");
  for (const std::string_view text : {"x", "1", "1:", "1:cpu", "1:cpu:", "1:cpu:x"})
    EXPECT_FALSE(parse_cgroup(text)) << text;
}

TEST(ProcfsChildren, parses_pids) {
  EXPECT_EQ(parse_children("12 345 6 ").value(), (std::vector<int32_t>{12, 345, 6}));
  EXPECT_TRUE(parse_children("").value().empty());
  EXPECT_FALSE(parse_children("12 x"));
}

TEST(ProcfsMountinfo, parses_tags_and_escapes) {
  const std::vector<Mount> mounts = parse_mountinfo(
                                        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
                                        "24 27 0:6 / /dev rw,relatime shared:7 master:3 "
                                        "propagate_from:2 - devtmpfs devtmpfs rw,size=12334460k\n"
                                        "30 27 254:0 /sub\\040dir /mnt/a\\011b\\134c ro,nosuid "
                                        "unbindable brandnew:1 - ext4 /dev/vda rw\n"
                                        "31 27 0:40 / /mnt/e rw - tmpfs  rw\n")
                                        .value();
  ASSERT_EQ(mounts.size(), 4U);
  EXPECT_EQ(mounts[0].id, 22);
  EXPECT_EQ(mounts[0].parent, 27);
  EXPECT_EQ(mounts[0].mountpoint, "/proc");
  EXPECT_EQ(mounts[1].shared, 7);
  EXPECT_EQ(mounts[1].master, 3);
  EXPECT_EQ(mounts[1].propagate_from, 2);
  EXPECT_EQ(mounts[2].root, "/sub dir");
  EXPECT_EQ(mounts[2].mountpoint, "/mnt/a\tb\\c");
  EXPECT_TRUE(mounts[2].unbindable);
  EXPECT_EQ(mounts[2].type, "ext4");
  EXPECT_EQ(mounts[2].source, "/dev/vda");
  EXPECT_EQ(mounts[3].source, "");
  EXPECT_EQ(mounts[3].super_options, "rw");
}

TEST(ProcfsMountinfo, refuses_malformed_text) {
  const std::string_view line = "22 27 0:21 / /proc rw,relatime shared:1 - proc proc";
  for (size_t length = 1; length <= line.size(); ++length)
    EXPECT_FALSE(parse_mountinfo(line.substr(0, length))) << length;
  EXPECT_FALSE(parse_mountinfo("\n"));
}

TEST(ProcfsText, whole_numbers) {
  EXPECT_EQ(parse_decimal("x", "50000\n").value(), 50000U);
  EXPECT_EQ(parse_signed("x", "-1000\n").value(), -1000);
  EXPECT_EQ(parse_hex("x", "00000033\n").value(), 0x33U);
  EXPECT_FALSE(parse_decimal("x", ""));
  EXPECT_FALSE(parse_decimal("x", "12 kB\n"));
  EXPECT_FALSE(parse_decimal("x", "99999999999999999999"));
  EXPECT_FALSE(parse_hex("x", "0x"));
}

TEST(ProcfsText, octal_escapes) {
  EXPECT_EQ(unescape_octal("a\\040b\\134\\01", " \\"), "a b\\\\01");
  EXPECT_EQ(unescape_octal("\\777\\", " "), "\\777\\");
  EXPECT_EQ(unescape_octal("\\-12", " \n"), "\\-12");
}

}  // namespace
}  // namespace cryo::procfs
