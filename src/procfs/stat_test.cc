#include "procfs/stat.h"

#include <gtest/gtest.h>

#include "procfs/status.h"

namespace cryo::procfs {
namespace {

// Text of Linux 6.18; the task calls itself "a) \n\b".
constexpr std::string_view kStat =
    "25266 (a) \n\\b) R 25257 25258 3556 34816 -1 4194304 89 382 0 1 6 7 8 9 20 -5 3 0 167850 "
    "6844416 1390 "
    "18446744073709551615 94205773586432 94205773591761 140726906010800 0 0 0 0 0 0 0 0 0 17 1 50 "
    "2 0 0 0 "
    "94205773602256 94205773603160 94206697390080 140726906014374 140726906014378 140726906014379 "
    "140726906015732 2304\n";

TEST(ProcfsStat, parses_all_fields) {
  const TaskStat stat = parse_stat(kStat).value();
  EXPECT_EQ(stat.pid, 25266);
  EXPECT_EQ(stat.comm, "a) \n\\b");
  EXPECT_EQ(stat.state, 'R');
  EXPECT_EQ(stat.ppid, 25257);
  EXPECT_EQ(stat.pgrp, 25258);
  EXPECT_EQ(stat.session, 3556);
  EXPECT_EQ(stat.tty, 34816);
  EXPECT_EQ(stat.tpgid, -1);
  EXPECT_EQ(stat.flags, 4194304U);
  EXPECT_EQ(stat.utime, 6U);
  EXPECT_EQ(stat.stime, 7U);
  EXPECT_EQ(stat.cutime, 8);
  EXPECT_EQ(stat.cstime, 9);
  EXPECT_EQ(stat.priority, 20);
  EXPECT_EQ(stat.nice, -5);
  EXPECT_EQ(stat.threads, 3);
  EXPECT_EQ(stat.start_time, 167850U);
  EXPECT_EQ(stat.vsize, 6844416U);
  EXPECT_EQ(stat.rss_pages, 1390);
  EXPECT_EQ(stat.start_code, 94205773586432U);
  EXPECT_EQ(stat.end_code, 94205773591761U);
  EXPECT_EQ(stat.start_stack, 140726906010800U);
  EXPECT_EQ(stat.exit_signal, 17);
  EXPECT_EQ(stat.processor, 1);
  EXPECT_EQ(stat.rt_priority, 50U);
  EXPECT_EQ(stat.policy, 2U);
  EXPECT_EQ(stat.start_data, 94205773602256U);
  EXPECT_EQ(stat.end_data, 94205773603160U);
  EXPECT_EQ(stat.start_brk, 94206697390080U);
  EXPECT_EQ(stat.arg_start, 140726906014374U);
  EXPECT_EQ(stat.arg_end, 140726906014378U);
  EXPECT_EQ(stat.env_start, 140726906014379U);
  EXPECT_EQ(stat.env_end, 140726906015732U);
  EXPECT_EQ(stat.exit_code, 2304);
  EXPECT_FALSE(stat.kernel_thread());
  EXPECT_FALSE(stat.exiting());
}

TEST(ProcfsStat, knows_kernel_threads) {
  const TaskStat stat = parse_stat(
                            "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 3 0 0 20 0 1 0 1 0 0 "
                            "18446744073709551615 0 0 0 0 0 0 "
                            "0 2147483647 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n")
                            .value();
  EXPECT_TRUE(stat.kernel_thread());
}

TEST(ProcfsStat, refuses_malformed_text) {
  for (const std::string_view text : {"", "1", "1 (", "1 (a", "1 (a)", "1 (a) ", ") (", "x (a) R 1",
                                      ")1 (a", "1 )(", "1 (a) RR 1", "99999999999 (a) R 1"}) {
    EXPECT_FALSE(parse_stat(text)) << text;
  }
  for (size_t length = 0; length + 6 < kStat.size(); ++length)
    EXPECT_FALSE(parse_stat(kStat.substr(0, length))) << length;
}

constexpr std::string_view kStatus =
    "Name:\ta) \\n\\\\b\n"
    "Umask:\t0027\n"
    "State:\tT (stopped)\n"
    "Tgid:\t5796\n"
    "Ngid:\t0\n"
    "Pid:\t5797\n"
    "PPid:\t5792\n"
    "TracerPid:\t12\n"
    "Uid:\t1000\t1001\t1002\t1003\n"
    "Gid:\t0\t4294967294\t2\t3\n"
    "FDSize:\t256\n"
    "Groups:\t4 24 27 \n"
    "NStgid:\t5796\t3\n"
    "NSpid:\t5797\t4\n"
    "NSpgid:\t5792\t1\n"
    "NSsid:\t3556\t0\n"
    "Kthread:\t0\n"
    "VmPeak:\t    3060 kB\n"
    "VmSize:\t    3060 kB\n"
    "VmLck:\t       1 kB\n"
    "VmPin:\t       2 kB\n"
    "VmHWM:\t    1728 kB\n"
    "VmRSS:\t    1728 kB\n"
    "RssAnon:\t     112 kB\n"
    "RssFile:\t    1616 kB\n"
    "RssShmem:\t       3 kB\n"
    "VmSwap:\t       4 kB\n"
    "HugetlbPages:\t       5 kB\n"
    "CoreDumping:\t0\n"
    "THP_enabled:\t0\n"
    "untag_mask:\t0xffffffffffffffff\n"
    "Threads:\t2\n"
    "SigQ:\t3/96365\n"
    "SigPnd:\t0000000000000100\n"
    "ShdPnd:\t0000000200000000\n"
    "SigBlk:\tfffffffe7ffbfeff\n"
    "SigIgn:\t0000000000001000\n"
    "SigCgt:\t0000000180000000\n"
    "CapInh:\t0000000000000001\n"
    "CapPrm:\t000001fffeffffff\n"
    "CapEff:\t000001fffefffffe\n"
    "CapBnd:\t000001fffefffffd\n"
    "CapAmb:\t0000000000000002\n"
    "NoNewPrivs:\t1\n"
    "Seccomp:\t2\n"
    "Seccomp_filters:\t3\n"
    "Speculation_Store_Bypass:\tthread force mitigated\n"
    "SpeculationIndirectBranch:\talways enabled\n"
    "Cpus_allowed:\t3\n"
    "Cpus_allowed_list:\t0-1\n"
    "Mems_allowed:\t00000000,00000001\n"
    "Mems_allowed_list:\t0\n"
    "voluntary_ctxt_switches:\t0\n"
    "nonvoluntary_ctxt_switches:\t1\n"
    "x86_Thread_features:\tshstk wrss \n"
    "x86_Thread_features_locked:\tshstk \n";

TEST(ProcfsStatus, parses_ids_and_groups) {
  const TaskStatus status = parse_status(kStatus).value();
  EXPECT_EQ(status.name, "a) \n\\b");
  EXPECT_EQ(status.umask, 027U);
  EXPECT_EQ(status.state, 'T');
  EXPECT_EQ(status.tgid, 5796);
  EXPECT_EQ(status.pid, 5797);
  EXPECT_EQ(status.ppid, 5792);
  EXPECT_EQ(status.tracer_pid, 12);
  EXPECT_EQ(status.uids, (std::array<uint32_t, 4>{1000, 1001, 1002, 1003}));
  EXPECT_EQ(status.gids, (std::array<uint32_t, 4>{0, 4294967294, 2, 3}));
  EXPECT_EQ(status.groups, (std::vector<uint32_t>{4, 24, 27}));
  EXPECT_EQ(status.ns_tgid, (std::vector<int32_t>{5796, 3}));
  EXPECT_EQ(status.ns_pid, (std::vector<int32_t>{5797, 4}));
  EXPECT_EQ(status.ns_pgid, (std::vector<int32_t>{5792, 1}));
  EXPECT_EQ(status.ns_sid, (std::vector<int32_t>{3556, 0}));
  EXPECT_FALSE(status.kernel_thread);
}

TEST(ProcfsStatus, parses_memory) {
  const TaskStatus status = parse_status(kStatus).value();
  EXPECT_TRUE(status.has_mm);
  EXPECT_EQ(status.vm_size, 3060U << 10);
  EXPECT_EQ(status.vm_locked, 1U << 10);
  EXPECT_EQ(status.vm_pinned, 2U << 10);
  EXPECT_EQ(status.vm_rss, 1728U << 10);
  EXPECT_EQ(status.rss_anon, 112U << 10);
  EXPECT_EQ(status.rss_file, 1616U << 10);
  EXPECT_EQ(status.rss_shmem, 3U << 10);
  EXPECT_EQ(status.vm_swap, 4U << 10);
  EXPECT_EQ(status.hugetlb, 5U << 10);
  EXPECT_EQ(status.thp_enabled, false);
  EXPECT_EQ(status.untag_mask, ~uint64_t{0});
}

TEST(ProcfsStatus, parses_signals_and_credentials) {
  const TaskStatus status = parse_status(kStatus).value();
  EXPECT_EQ(status.threads, 2U);
  EXPECT_EQ(status.signals_queued, 3U);
  EXPECT_EQ(status.signals_limit, 96365U);
  EXPECT_EQ(status.sig_pending, 0x100U);
  EXPECT_EQ(status.shd_pending, 0x200000000U);
  EXPECT_EQ(status.sig_blocked, 0xfffffffe7ffbfeffU);
  EXPECT_EQ(status.sig_ignored, 0x1000U);
  EXPECT_EQ(status.sig_caught, 0x180000000U);
  EXPECT_EQ(status.cap_inheritable, 1U);
  EXPECT_EQ(status.cap_permitted, 0x1fffeffffffU);
  EXPECT_EQ(status.cap_effective, 0x1fffefffffeU);
  EXPECT_EQ(status.cap_bounding, 0x1fffefffffdU);
  EXPECT_EQ(status.cap_ambient, 2U);
  EXPECT_TRUE(status.no_new_privs);
  EXPECT_EQ(status.seccomp, 2U);
  EXPECT_EQ(status.seccomp_filters, 3U);
  EXPECT_EQ(status.speculation_store_bypass, "thread force mitigated");
  EXPECT_EQ(status.cpus_allowed_list, "0-1");
  EXPECT_EQ(status.x86_thread_features, "shstk wrss");
  EXPECT_EQ(status.x86_thread_features_locked, "shstk");
}

// A zombie has no umask (no fs), no Vm* lines.
TEST(ProcfsStatus, parses_a_zombie) {
  const std::string_view text =
      "Name:\tx\nState:\tZ "
      "(zombie)\nTgid:\t25273\nNgid:\t0\nPid:\t25273\nPPid:\t25266\nTracerPid:\t0\n"
      "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t0\nGroups:\t \nThreads:\t1\nSigQ:\t3/96365\n"
      "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\nSigBlk:\t0000000000000000\n"
      "SigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\nCapInh:\t0000000000000000\n"
      "CapPrm:\t000001fffeffffff\nCapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\nCapAmb:"
      "\t0000000000000000\n";
  const TaskStatus status = parse_status(text).value();
  EXPECT_TRUE(status.zombie());
  EXPECT_FALSE(status.umask);
  EXPECT_FALSE(status.has_mm);
  EXPECT_FALSE(status.thp_enabled);
  EXPECT_TRUE(status.groups.empty());
}

TEST(ProcfsStatus, refuses_malformed_and_incomplete_text) {
  EXPECT_FALSE(parse_status(""));
  EXPECT_FALSE(parse_status("Name\n"));
  const auto with = [](std::string_view from, std::string_view to) {
    std::string text(kStatus);
    text.replace(text.find(from), from.size(), to);
    return parse_status(text);
  };
  EXPECT_FALSE(with("Uid:\t1000\t1001\t1002\t1003", "Uid:\t1000\t1001\t1002"));
  EXPECT_FALSE(with("SigBlk:\tfffffffe7ffbfeff", "SigBlk:\tgreat"));
  EXPECT_FALSE(with("VmLck:\t       1 kB", "VmLck:\t       1 MB"));
  EXPECT_FALSE(with("Groups:\t4 24 27 ", "Groups:\t4 x"));
  EXPECT_FALSE(with("State:\tT (stopped)", "State:\t"));
  EXPECT_FALSE(with("Tgid:\t5796\n", ""));
  for (size_t length = 0; length < kStatus.size(); ++length)
    (void)parse_status(kStatus.substr(0, length));
}

}  // namespace
}  // namespace cryo::procfs
