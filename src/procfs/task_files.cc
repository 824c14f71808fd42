#include "procfs/task_files.h"

#include <linux/mempolicy.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "procfs/text.h"
#include "sys/uapi.h"

namespace cryo::procfs {

// --- limits

namespace {

struct LimitName {
  std::string_view text;
  int number;
};
constexpr std::array<LimitName, kLimits> kLimitNames = {{
    {"Max cpu time", RLIMIT_CPU},
    {"Max file size", RLIMIT_FSIZE},
    {"Max data size", RLIMIT_DATA},
    {"Max stack size", RLIMIT_STACK},
    {"Max core file size", RLIMIT_CORE},
    {"Max resident set", RLIMIT_RSS},
    {"Max processes", RLIMIT_NPROC},
    {"Max open files", RLIMIT_NOFILE},
    {"Max locked memory", RLIMIT_MEMLOCK},
    {"Max address space", RLIMIT_AS},
    {"Max file locks", RLIMIT_LOCKS},
    {"Max pending signals", RLIMIT_SIGPENDING},
    {"Max msgqueue size", RLIMIT_MSGQUEUE},
    {"Max nice priority", RLIMIT_NICE},
    {"Max realtime priority", RLIMIT_RTPRIO},
    {"Max realtime timeout", RLIMIT_RTTIME},
}};

bool limit_value(Scanner& in, uint64_t& out) {
  in.spaces();
  if (in.skip("unlimited")) {
    out = ~uint64_t{0};
    return true;
  }
  return in.decimal(out);
}

}  // namespace

Result<std::array<Limit, kLimits>> parse_limits(std::string_view text) {
  std::array<Limit, kLimits> limits{};
  size_t seen = 0;
  Scanner in(text);
  for (std::string_view line; in.line(line);) {
    for (const LimitName& name : kLimitNames) {
      Scanner row(line);
      if (!row.skip(name.text) || !row.skip(' ')) continue;
      Limit& limit = limits[static_cast<size_t>(name.number)];
      if (!limit_value(row, limit.soft) || !limit_value(row, limit.hard))
        return malformed("limits", line);
      ++seen;
      break;
    }
  }
  if (seen != kLimits) return malformed("limits", text);
  return limits;
}

// --- timers

namespace {

bool timer_notify(Scanner& in, PosixTimer& timer) {
  if (in.skip("none/")) {
    timer.notify = SIGEV_NONE;
  } else if (in.skip("signal/")) {
    timer.notify = SIGEV_SIGNAL;
  } else if (in.skip("thread/")) {
    timer.notify = SIGEV_THREAD;
  } else {
    return false;
  }
  if (in.skip("tid.")) {
    timer.notify |= SIGEV_THREAD_ID;
  } else if (!in.skip("pid.")) {
    return false;
  }
  return in.decimal(timer.target);
}

}  // namespace

Result<std::vector<PosixTimer>> parse_timers(std::string_view text) {
  std::vector<PosixTimer> timers;
  Scanner in(text);
  while (!in.at_end()) {
    PosixTimer timer;
    const bool ok = in.skip("ID: ") && in.decimal(timer.id) && in.skip("\nsignal: ") &&
                    in.decimal(timer.signal) && in.skip('/') && in.hex(timer.value) &&
                    in.skip("\nnotify: ") && timer_notify(in, timer) && in.skip("\nClockID: ") &&
                    in.decimal(timer.clock) && in.skip('\n');
    if (!ok) return malformed("timers", in.rest());
    timers.push_back(timer);
  }
  return timers;
}

// --- auxv

Result<std::vector<AuxEntry>> parse_auxv(std::string_view bytes, size_t word) {
  CHECK(word == 8 || word == 4);
  std::vector<AuxEntry> entries;
  for (size_t at = 0; at + 2 * word <= bytes.size(); at += 2 * word) {
    AuxEntry entry{};
    std::memcpy(&entry.first, bytes.data() + at,
                word);  // little-endian machines only: fine for 4 of 8 bytes
    std::memcpy(&entry.second, bytes.data() + at + word, word);
    if (entry.first == 0) return entries;
    entries.push_back(entry);
  }
  if (bytes.empty()) return entries;  // a task without memory
  return Error::of(ErrorKind::os, fmt::format("auxv of {} bytes has no end", bytes.size()));
}

// --- syscall

Result<SyscallState> parse_syscall(std::string_view text) {
  SyscallState state;
  Scanner in(text);
  if (in.skip("running")) {
    state.running = true;
    return state;
  }
  bool ok = in.decimal(state.number);
  if (state.number != -1) {
    for (uint64_t& arg : state.args) ok = ok && in.skip(' ') && in.hex(arg);
  }
  ok = ok && in.skip(' ') && in.hex(state.sp) && in.skip(' ') && in.hex(state.pc);
  if (!ok) return malformed("syscall", text);
  return state;
}

// --- numa_maps

namespace {

struct PolicyName {
  std::string_view text;
  int mode;
};
// The longer of two with a common head comes first.
constexpr std::array kPolicyNames = {
    PolicyName{"default", MPOL_DEFAULT},
    PolicyName{"prefer (many)", MPOL_PREFERRED_MANY},
    PolicyName{"prefer", MPOL_PREFERRED},
    PolicyName{"bind", MPOL_BIND},
    PolicyName{"interleave", MPOL_INTERLEAVE},
    PolicyName{"weighted interleave", MPOL_WEIGHTED_INTERLEAVE},
    PolicyName{"local", MPOL_LOCAL},
};

bool policy_mode(Scanner& in, NumaPolicy& policy) {
  for (const PolicyName& name : kPolicyNames) {
    if (in.skip(name.text)) {
      policy.mode = name.mode;
      return true;
    }
  }
  return false;
}

bool policy_flags(Scanner& in, NumaPolicy& policy) {
  if (!in.skip('=')) return true;
  do {
    if (in.skip("static")) {
      policy.flags |= MPOL_F_STATIC_NODES;
    } else if (in.skip("relative")) {
      policy.flags |= MPOL_F_RELATIVE_NODES;
    } else if (in.skip("balancing")) {
      policy.flags |= MPOL_F_NUMA_BALANCING;
    } else {
      return false;
    }
  } while (in.skip('|'));
  return true;
}

}  // namespace

Result<std::vector<NumaPolicy>> parse_numa_maps(std::string_view text) {
  std::vector<NumaPolicy> policies;
  Scanner in(text);
  for (std::string_view line; in.line(line);) {
    NumaPolicy policy;
    Scanner row(line);
    if (!row.hex(policy.start) || !row.skip(' ') || !policy_mode(row, policy) ||
        !policy_flags(row, policy)) {
      return malformed("numa_maps", line);
    }
    if (row.skip(':')) {
      std::string_view nodes;
      if (!row.token(nodes)) return malformed("numa_maps", line);
      policy.nodes = TRY(parse_number_list("numa_maps", nodes));
    }
    if (!policy.is_default() || policy.flags != 0) policies.push_back(std::move(policy));
  }
  return policies;
}

// --- cgroup, children, lists

Result<std::vector<CgroupMembership>> parse_cgroup(std::string_view text) {
  std::vector<CgroupMembership> all;
  Scanner in(text);
  for (std::string_view line; in.line(line);) {
    CgroupMembership one;
    Scanner row(line);
    std::string_view controllers;
    if (!row.decimal(one.hierarchy) || !row.skip(':') || !row.until(':', controllers) ||
        row.rest().substr(0, 1) != "/") {
      return malformed("cgroup", line);
    }
    one.controllers = controllers;
    one.path = row.rest();
    all.push_back(std::move(one));
  }
  return all;
}

Result<std::vector<int32_t>> parse_children(std::string_view text) {
  std::vector<int32_t> pids;
  Scanner in(text);
  for (in.spaces(); !in.at_end() && in.rest() != "\n"; in.spaces()) {
    int32_t pid = 0;
    if (!in.decimal(pid)) return malformed("children", text);
    pids.push_back(pid);
  }
  return pids;
}

Result<std::vector<uint32_t>> parse_number_list(std::string_view what, std::string_view text) {
  constexpr uint32_t kMost = 65536;  // more CPUs or nodes than any machine has
  std::vector<uint32_t> numbers;
  Scanner in(text);
  while (!in.at_end() && in.rest() != "\n") {
    uint32_t first = 0;
    if (!in.decimal(first)) return malformed(what, text);
    uint32_t last = first;
    if (in.skip('-') && !in.decimal(last)) return malformed(what, text);
    if (last < first || last >= kMost) return malformed(what, text);
    for (uint32_t number = first; number <= last; ++number) numbers.push_back(number);
    if (numbers.size() > kMost) return malformed(what, text);
    if (!in.skip(',') && !in.at_end() && in.rest() != "\n") return malformed(what, text);
  }
  return numbers;
}

}  // namespace cryo::procfs
