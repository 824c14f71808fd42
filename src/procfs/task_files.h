// The smaller files of /proc/PID: limits, timers, auxv, syscall, numa_maps, cgroup, children.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace cryo::procfs {

// --- limits, by RLIMIT_* number
struct Limit {
  uint64_t soft = 0;  // ~0 is unlimited
  uint64_t hard = 0;
};
constexpr size_t kLimits = 16;
Result<std::array<Limit, kLimits>> parse_limits(std::string_view text);

// --- timers: POSIX timers of the thread group, the latest first (before 6.15: the first one first)
struct PosixTimer {
  int32_t id = 0;
  int32_t signal = 0;
  uint64_t value = 0;  // sigev_value
  int32_t notify = 0;  // SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD; SIGEV_THREAD_ID is or-ed in
  int32_t target = 0;  // pid, or tid with SIGEV_THREAD_ID, in the reader's namespace
  int32_t clock = 0;   // also negative: CPU clocks of other tasks
};
Result<std::vector<PosixTimer>> parse_timers(std::string_view text);

// --- auxv, without the closing AT_NULL. `word` is 8, or 4 for a 32-bit task.
using AuxEntry = std::pair<uint64_t, uint64_t>;
Result<std::vector<AuxEntry>> parse_auxv(std::string_view bytes, size_t word = 8);

// --- syscall: where a task sleeps
struct SyscallState {
  bool running = false;
  int64_t number = -1;  // -1: blocked, but not in a system call
  std::array<uint64_t, 6> args{};
  uint64_t sp = 0;
  uint64_t pc = 0;
};
Result<SyscallState> parse_syscall(std::string_view text);

// --- numa_maps: the memory policy of each mapping. Pages are counted elsewhere.
struct NumaPolicy {
  uint64_t start = 0;           // of the mapping
  int mode = 0;                 // MPOL_*
  unsigned flags = 0;           // MPOL_F_STATIC_NODES, RELATIVE_NODES, NUMA_BALANCING
  std::vector<uint32_t> nodes;  // ascending
  bool is_default() const { return mode == 0; }
};
// Only mappings whose policy is not the default, which is nearly all of them.
Result<std::vector<NumaPolicy>> parse_numa_maps(std::string_view text);

// --- cgroup
struct CgroupMembership {
  uint32_t hierarchy = 0;   // 0 is cgroup v2
  std::string controllers;  // "cpu,cpuacct", "name=systemd", "" for v2
  std::string path;         // as the reader's cgroup namespace sees it
};
Result<std::vector<CgroupMembership>> parse_cgroup(std::string_view text);

// --- children: pids separated by blanks
Result<std::vector<int32_t>> parse_children(std::string_view text);

// "0-3,5": cpu and node lists.
Result<std::vector<uint32_t>> parse_number_list(std::string_view what, std::string_view text);

}  // namespace cryo::procfs
