// How a thread is scheduled: policy, nice value, priority, deadline parameters, CPUs, I/O priority.
//
// All of it is read and set from outside. It is set as late as possible: until then the thread has work to do for the
// restore, which SCHED_IDLE would delay and SCHED_DEADLINE might throttle. Of the affinity the kernel shows only
// what is in force: a thread that may use every CPU of the dump's host may use every one afterwards too.
#include <cerrno>
#include <cstdlib>

#include "kinds/all.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

constexpr uint32_t kOther = 0, kBatch = 3, kDeadline = 6;
// Part of the policy for sched_getscheduler(2), and so in CRIU's images: SCHED_RESET_ON_FORK.
constexpr uint32_t kResetInPolicy = 0x40000000;
constexpr uint64_t kResetOnFork = 1;
constexpr uint64_t kUtilFlags = 0x60;     // SCHED_FLAG_UTIL_CLAMP
constexpr uint64_t kSettableFlags = 0x7;  // RESET_ON_FORK, RECLAIM, DL_OVERRUN
constexpr size_t kMostCpuWords = 1024;

using CpuMask = std::vector<uint64_t>;

// The others have a nice value too, which counts when they become fair again; the calls of the policy leave it alone.
bool is_fair(uint32_t policy) { return policy == kOther || policy == kBatch; }

// "0-3,8" as bits.
Result<CpuMask> online_cpus() {
  const std::string text = TRY(sys::read_file(FdRef(AT_FDCWD), "/sys/devices/system/cpu/online"));
  CpuMask mask;
  for (const char* at = text.c_str(); *at >= '0' && *at <= '9';) {
    char* end = nullptr;
    const uint64_t first = std::strtoul(at, &end, 10);
    const uint64_t last = *end == '-' ? std::strtoul(end + 1, &end, 10) : first;
    if (last >= kMostCpuWords * 64) break;
    if (mask.size() <= last / 64) mask.resize(last / 64 + 1);
    for (uint64_t cpu = first; cpu <= last; ++cpu) mask[cpu / 64] |= uint64_t{1} << (cpu % 64);
    at = *end == ',' ? end + 1 : end;
  }
  return mask;
}

bool contains(const CpuMask& mask, const CpuMask& part) {
  for (size_t i = 0; i < part.size(); ++i)
    if ((part[i] & ~(i < mask.size() ? mask[i] : 0)) != 0) return false;
  return true;
}

struct Usual {
  CpuMask online;
  uint64_t slice;  // of SCHED_OTHER: what a thread has that never asked for one
};

Result<void> capture_one(ThreadCapture& thread, const Usual& usual) {
  const sys::SchedAttr attr = TRY(sys::sched_getattr(thread.tid()));
  pb::thread_core_entry& core = thread.core();
  int nice = attr.nice;
  if (!is_fair(attr.policy)) nice = TRY(sys::get_nice(thread.tid()));
  core.set_sched_nice(nice);
  const bool resets = (attr.flags & kResetOnFork) != 0;
  core.set_sched_policy(attr.policy | (resets ? kResetInPolicy : 0));
  core.set_sched_prio(attr.priority);
  pb::cryo_sched_entry& extra = *thread.image().extra.mutable_sched();
  if (attr.flags != 0) extra.set_flags(attr.flags);
  if (attr.runtime != 0 && (attr.policy == kDeadline || attr.runtime != usual.slice))
    extra.set_runtime(attr.runtime);
  if (attr.policy == kDeadline) {
    extra.set_deadline(attr.deadline);
    extra.set_period(attr.period);
  }
  if (attr.util_min != 0) extra.set_util_min(attr.util_min);
  if (attr.util_max != 0) extra.set_util_max(attr.util_max);
  extra.set_ioprio(static_cast<uint32_t>(TRY(sys::ioprio_get(thread.tid()))));
  const CpuMask cpus = TRY(sys::sched_getaffinity(thread.tid()));
  if (!contains(cpus, usual.online)) extra.mutable_cpus()->Add(cpus.begin(), cpus.end());
  return {};
}

// For all threads at once: what is usual is asked for once.
Result<void> capture(TaskCapture& task) {
  Usual usual{};
  usual.online = TRY(online_cpus());
  const sys::SchedAttr own = TRY(sys::sched_getattr(Tid{0}));
  if (own.policy != kDeadline) usual.slice = own.runtime;
  for (size_t i = 0; i < task.threads.size(); ++i) {
    ThreadCapture thread{task, i};
    TRY(capture_one(thread, usual));
  }
  return {};
}

// --- restore

sys::SchedAttr wanted_attributes(const ThreadImage& thread, const sys::SchedAttr& now) {
  const pb::thread_core_entry& core = thread.core.thread_core();
  const pb::cryo_sched_entry& extra = thread.extra.sched();
  sys::SchedAttr wanted;
  wanted.policy = core.sched_policy() & ~kResetInPolicy;
  wanted.nice = is_fair(wanted.policy) ? core.sched_nice() : now.nice;
  wanted.priority = core.sched_prio();
  wanted.flags = extra.flags() & kSettableFlags;
  if ((core.sched_policy() & kResetInPolicy) != 0) wanted.flags |= kResetOnFork;
  wanted.runtime = extra.has_runtime()       ? extra.runtime()
                   : now.policy == kDeadline ? 0
                                             : now.runtime;
  wanted.deadline = extra.deadline();
  wanted.period = extra.period();
  wanted.util_min = extra.has_util_min() ? extra.util_min() : now.util_min;
  wanted.util_max = extra.has_util_max() ? extra.util_max() : now.util_max;
  return wanted;
}

bool same(const sys::SchedAttr& a, const sys::SchedAttr& b) {
  return a.policy == b.policy && a.nice == b.nice && a.priority == b.priority &&
         a.flags == b.flags && a.runtime == b.runtime && a.deadline == b.deadline &&
         a.period == b.period && a.util_min == b.util_min && a.util_max == b.util_max;
}

Result<void> set_attributes(const ThreadImage& thread) {
  if (!thread.core.thread_core().has_sched_policy()) return {};
  const sys::SchedAttr now = TRY(sys::sched_getattr(thread.tid));
  sys::SchedAttr wanted = wanted_attributes(thread, now);
  const pb::thread_core_entry& core = thread.core.thread_core();
  if (!is_fair(wanted.policy) && core.has_sched_nice())
    TRY(sys::set_nice(thread.tid, core.sched_nice()));
  if (same(wanted, now)) return {};
  // The usual slice is better left to the kernel, and clamps to a kernel that has them.
  if (!thread.extra.sched().has_runtime()) wanted.runtime = 0;
  if (wanted.util_min != now.util_min || wanted.util_max != now.util_max)
    wanted.flags |= kUtilFlags;
  Result<void> set = sys::sched_setattr(thread.tid, wanted);
  if (!set && set.error().kind() == ErrorKind::denied)
    return std::move(set).error().hint(
        "CAP_SYS_NICE, or a higher RLIMIT_NICE or RLIMIT_RTPRIO, allows it");
  return set;
}

Result<void> set_cpus(const ThreadImage& thread, const CpuMask& online, Log& log) {
  const pb::cryo_sched_entry& extra = thread.extra.sched();
  if (!thread.extra.has_sched()) return {};
  const CpuMask now = TRY(sys::sched_getaffinity(thread.tid));
  // Without a mask: every CPU, also those that will come.
  CpuMask wanted(extra.cpus().begin(), extra.cpus().end());
  if (wanted.empty()) {
    if (contains(now, online)) return {};
    wanted.assign(std::max<size_t>(online.size(), 16), ~uint64_t{0});
  } else if (!contains(online, wanted)) {
    log.warn("Thread {} may use CPUs that are not there, ignoring those", thread.tid);
  }
  if (wanted == now) return {};
  Result<void> set = sys::sched_setaffinity(thread.tid, wanted);
  // EINVAL: none of them is there, or in our cpuset.
  if (set || set.error().code() != EINVAL) return set;
  log.warn("Thread {} can use none of the CPUs that it was bound to, ignoring", thread.tid);
  return {};
}

Result<void> set_io_priority(const ThreadImage& thread) {
  const pb::cryo_sched_entry& extra = thread.extra.sched();
  if (!extra.has_ioprio()) return {};
  const int now = TRY(sys::ioprio_get(thread.tid));
  return now == static_cast<int>(extra.ioprio())
             ? Result<void>()
             : sys::ioprio_set(thread.tid, static_cast<int>(extra.ioprio()));
}

Result<void> restore(const TaskImage& image, Log& log) {
  const CpuMask online = TRY(online_cpus());
  for (const ThreadImage& thread : image.threads) {
    // CPUs first: a deadline thread's cannot be changed. The I/O priority that was never set follows the nice value.
    TRY_IN(set_cpus(thread, online, log), "binding thread {} to its CPUs", thread.tid);
    TRY_IN(set_attributes(thread), "scheduling thread {}", thread.tid);
    TRY_IN(set_io_priority(thread), "setting the I/O priority of thread {}", thread.tid);
  }
  return {};
}

Result<void> compile(TaskRestore& task) {
  for (const ThreadImage& thread : task.image.threads)
    if (thread.extra.sched().cpus_size() > static_cast<int>(kMostCpuWords))
      return Error::bad_image("cryo: too many CPUs");
  const TaskImage* image = &task.image;
  task.plan.host(Phase::arm,
                 fmt::format("scheduling and CPUs of {} threads", task.image.threads.size()),
                 [image](TaskStage& stage) { return restore(*image, stage.log); });
  return {};
}

}  // namespace

const TaskKind scheduling_kind = {.name = "scheduling", .capture = capture, .compile = compile};

}  // namespace cryo
