#include "tests/harness/proc_picture_tables.h"

#include <algorithm>

namespace cryo::live {

const std::vector<ProcSource>& proc_sources() {
  static const std::vector<ProcSource> sources = {
      {"smaps", Shape::mappings, Scope::process},
      {"fd", Shape::descriptors, Scope::process},
      {"numa_maps", Shape::numa, Scope::process},
      {"cmdline", Shape::strings, Scope::process},
      {"environ", Shape::strings, Scope::process},
      {"auxv", Shape::words, Scope::process},
      {"limits", Shape::limits, Scope::process},
      {"coredump_filter", Shape::text, Scope::process},
      {"oom_score_adj", Shape::text, Scope::process},
      {"loginuid", Shape::text, Scope::process},
      {"timers", Shape::text, Scope::process},
      {"autogroup", Shape::fields, Scope::process},
      {"ksm_stat", Shape::fields, Scope::process},
      {"timens_offsets", Shape::text, Scope::process},
      {"uid_map", Shape::text, Scope::process},
      {"gid_map", Shape::text, Scope::process},
      {"projid_map", Shape::text, Scope::process},
      {"setgroups", Shape::text, Scope::process},
      {"exe", Shape::link, Scope::process},
      {"cwd", Shape::link, Scope::task},
      {"root", Shape::link, Scope::task},
      {"ns", Shape::links, Scope::task},
      {"attr", Shape::texts, Scope::task},
      {"cgroup", Shape::text, Scope::task},
      {"cpuset", Shape::text, Scope::task},
      {"comm", Shape::text, Scope::task},
      {"personality", Shape::text, Scope::task},
      {"timerslack_ns", Shape::text, Scope::task},
      {"status", Shape::fields, Scope::task},
      {"stat", Shape::stat, Scope::task},
      {"sched", Shape::fields, Scope::task},
      {"syscall", Shape::syscall, Scope::task},
      {"children", Shape::text, Scope::task},
  };
  return sources;
}

const std::vector<LeftOut>& files_left_out() {
  static const std::vector<LeftOut> files = {
      {"task", "read thread by thread"},
      {"fdinfo", "read with fd"},
      {"maps", "in smaps"},
      {"map_files", "in smaps"},
      {"smaps_rollup", "sums of smaps"},
      {"statm", "sums of smaps"},
      {"pagemap", "which pages are resident"},
      {"mem", "contents: the bodies of tests look at them"},
      {"clear_refs", "write-only"},
      {"oom_adj", "another form of oom_score_adj"},
      {"oom_score", "depends on the memory in use now"},
      {"schedstat", "statistics"},
      {"io", "statistics"},
      {"arch_status", "when AVX-512 was used last"},
      {"ksm_merging_pages", "a number of pages"},
      {"stack", "of the kernel"},
      {"wchan", "of the kernel; syscall says it better"},
      {"sessionid", "given out by the kernel with loginuid"},
      {"mounts", "of the mount namespace, which the process is still in"},
      {"mountinfo", "of the mount namespace"},
      {"mountstats", "of the mount namespace"},
      {"net", "of the network namespace"},
      {"patch_state", "of live patches to the kernel"},
      {"seccomp_cache", "in status as the number of filters"},
      {"latency", "statistics"},
      {"make-it-fail", "fault injection"},
      {"fail-nth", "fault injection"},
      {"reclaim", "write-only"},
      {"x86_vm_info", "of the kernel"},
  };
  return files;
}

const std::vector<LeftOut>& fields_left_out() {
  static const std::vector<LeftOut> fields = {
      {"status/State", "runs or sleeps at this moment"},
      {"status/Ngid", "of NUMA balancing"},
      {"status/FDSize", "size of the kernel's table, not what is in it"},
      {"status/VmPeak", "history"},
      {"status/VmHWM", "history"},
      {"status/VmRSS", "resident pages"},
      {"status/RssAnon", "resident pages"},
      {"status/RssFile", "resident pages"},
      {"status/RssShmem", "resident pages"},
      {"status/VmPTE", "page tables"},
      {"status/VmSwap", "resident pages"},
      {"status/SigQ", "counts all processes of the user"},
      {"status/voluntary_ctxt_switches", "statistics"},
      {"status/nonvoluntary_ctxt_switches", "statistics"},
      {"ksm_stat/ksm_rmap_items", "a number of pages"},
      {"ksm_stat/ksm_zero_pages", "a number of pages"},
      {"ksm_stat/ksm_merging_pages", "a number of pages"},
      {"ksm_stat/ksm_process_profit", "a number of pages"},
      {"smaps/Size", "is in the key"},
      {"smaps/Rss", "resident pages"},
      {"smaps/Pss", "resident pages"},
      {"smaps/Pss_Dirty", "resident pages"},
      {"smaps/Shared_Clean", "resident pages"},
      {"smaps/Shared_Dirty", "resident pages"},
      {"smaps/Private_Clean", "resident pages"},
      {"smaps/Private_Dirty", "resident pages"},
      {"smaps/Referenced", "resident pages"},
      {"smaps/Anonymous", "zero pages are not made again"},
      {"smaps/KSM", "resident pages"},
      {"smaps/LazyFree", "resident pages"},
      {"smaps/AnonHugePages", "resident pages: tests of huge pages look themselves"},
      {"smaps/ShmemPmdMapped", "resident pages"},
      {"smaps/FilePmdMapped", "resident pages"},
      {"smaps/Shared_Hugetlb", "resident pages"},
      {"smaps/Private_Hugetlb", "resident pages"},
      {"smaps/Swap", "resident pages"},
      {"smaps/SwapPss", "resident pages"},
      {"fdinfo/eventfd-id", "given out by the kernel"},
      {"fdinfo/it_value", "runs down"},
      {"fdinfo/size", "of files: their own tests look"},
  };
  return fields;
}

const std::vector<std::string_view>& only_fields_kept(std::string_view source) {
  static const std::vector<std::string_view> sched = {"policy",         "prio",       "se.slice",
                                                      "se.load.weight", "uclamp.min", "uclamp.max"};
  static const std::vector<std::string_view> all;
  return source == "sched" ? sched : all;
}

const std::vector<std::string_view>& stat_fields() {
  static const std::vector<std::string_view> names = {"pid",
                                                      "comm",
                                                      /*state*/ "",
                                                      "ppid",
                                                      "pgrp",
                                                      "session",
                                                      "tty_nr",
                                                      "tpgid",
                                                      /*flags, of the kernel*/ "",
                                                      /*minflt*/ "",
                                                      /*cminflt*/ "",
                                                      /*majflt*/ "",
                                                      /*cmajflt*/ "",
                                                      /*utime*/ "",
                                                      /*stime*/ "",
                                                      /*cutime*/ "",
                                                      /*cstime*/ "",
                                                      "priority",
                                                      "nice",
                                                      "num_threads",
                                                      "itrealvalue",
                                                      /*starttime*/ "",
                                                      "vsize",
                                                      /*rss*/ "",
                                                      "rsslim",
                                                      "startcode",
                                                      "endcode",
                                                      "startstack",
                                                      "kstkesp",
                                                      "kstkeip",
                                                      "signal",
                                                      "blocked",
                                                      "sigignore",
                                                      "sigcatch",
                                                      /*wchan*/ "",
                                                      "nswap",
                                                      "cnswap",
                                                      "exit_signal",
                                                      /*processor*/ "",
                                                      "rt_priority",
                                                      "policy",
                                                      /*delayacct_blkio_ticks*/ "",
                                                      /*guest_time*/ "",
                                                      /*cguest_time*/ "",
                                                      "start_data",
                                                      "end_data",
                                                      "start_brk",
                                                      "arg_start",
                                                      "arg_end",
                                                      "env_start",
                                                      "env_end",
                                                      "exit_code"};
  return names;
}

const std::vector<LostByPeer>& lost_by_peer() {
  static const std::vector<LostByPeer> lost = {
      {"coredump_filter", "", "", "", "no field"},
      {"task/", "/ioprio", "", "", "no field"},
      {"task/", "/timerslack_ns", "", "", "no field"},
      {"task/", "/status/Cpus_allowed", "", "", "no field"},
      {"task/", "/status/Cpus_allowed_list", "", "", "no field"},
      {"task/", "/personality", "", "", "never set, and wrong in its images"},
      {"task/", "/status/HugetlbPages", "", "", "resident pages"},
      {"smaps/", "/VmFlags", " lf", "", "no field"},
      {"smaps/", "/VmFlags", "", " ac", "its parasite has written to a page of code"},
      {"smaps/", "", "", "/memfd:", "shared anonymous memory becomes a memfd"},
      {"fdinfo/", "/flags", "03", "01", "directories are opened without O_DIRECTORY"},
  };
  return lost;
}

bool is_left_out(std::string_view source, std::string_view field) {
  const std::vector<std::string_view>& kept = only_fields_kept(source);
  if (!kept.empty()) return std::find(kept.begin(), kept.end(), field) == kept.end();
  for (const LeftOut& left_out : fields_left_out()) {
    const size_t slash = left_out.name.find('/');
    if (left_out.name.substr(0, slash) == source && left_out.name.substr(slash + 1) == field) {
      return true;
    }
  }
  return false;
}

}  // namespace cryo::live
