// Seccomp: the mode of each thread, and in filter mode its chain of cBPF programs. The order is part of the state:
// of equal actions that of the filter installed last wins, and a filter may forbid the installing of another.
// PTRACE_SECCOMP_GET_FILTER counts from the one installed first (the manual page has it the other way round).
//
// Chains share their beginnings: a thread inherits its maker's filters, and SECCOMP_FILTER_FLAG_TSYNC gives all
// threads those of one. Which filters are the same object cannot be seen; equal ones with equal predecessors are
// taken to be. What all threads have in common is one object again after a restore, so that a later TSYNC of the
// program works.
//
// Image: a thread names the filter installed first, and `prev` of each the one installed after it. If all threads
// have the same chain, only the leader has it, marked with TSYNC, and the others have none: CRIU makes
// them one object in this way only.
//
// Dump: the filters are out of force (PTRACE_O_SUSPEND_SECCOMP) while the threads are stopped, and only then; the
// kernel puts them back in force when we end, however that happens. If we are killed meanwhile, the task's way out of
// the injection makes system calls of its own under its filters: that is checked, and warned of.
// Restore: the filters go in before capabilities go away, since without no_new_privs only CAP_SYS_ADMIN may
// install them. They are out of force until the task is let go.
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "kinds/all.h"
#include "kinds/task/seccomp_program.h"
#include "puppet/syscall_names.h"
#include "sys/ptrace.h"

namespace cryo {
namespace {

// What a puppet may call between our death and the task's own code.
constexpr int kWayOut[] = {SYS_munmap, SYS_rt_sigprocmask, SYS_futex,        SYS_futex_waitv,
                           SYS_close,  SYS_rt_sigpending,  SYS_rt_sigaction, SYS_sched_yield};

// Of all filters of one thread (kernel: MAX_INSNS_PER_PATH in kernel/seccomp.c).
constexpr size_t kMostInstructions = (1 << 18) / sizeof(sock_filter);

using Program = std::vector<sock_filter>;

struct Filter {
  Program program;
  uint64_t flags;
  bool operator==(const Filter& other) const;
};

Result<void> suspend(Tid tid) {
  Result<void> set = sys::ptrace_setoptions(tid, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP);
  if (set) return set;
  return std::move(set)
      .error()
      .during("suspending the seccomp filters")
      .hint("a task with seccomp needs CAP_SYS_ADMIN, and cryo must have no filter itself");
}

Result<std::vector<Filter>> read_filters(Tid tid) {
  std::vector<Filter> filters;
  for (uint64_t index = 0;; ++index) {
    std::optional<Program> program = TRY(sys::ptrace_seccomp_get_filter(tid, index));
    if (!program) break;
    const uint64_t flags = TRY(sys::ptrace_seccomp_get_flags(tid, index));
    filters.push_back({std::move(*program), flags});
  }
  return filters;
}

std::string_view bytes_of(const Program& program) {
  return {reinterpret_cast<const char*>(program.data()), program.size() * sizeof(sock_filter)};
}

bool Filter::operator==(const Filter& other) const {
  return flags == other.flags && bytes_of(program) == bytes_of(other.program);
}

uint32_t add_filter(pb::seccomp_entry& all, const Filter& filter, std::optional<uint32_t> later) {
  const std::string_view bytes = bytes_of(filter.program);
  for (int i = 0; i < all.seccomp_filters_size(); ++i) {
    const pb::seccomp_filter& known = all.seccomp_filters(i);
    const std::optional<uint32_t> its_later =
        known.has_prev() ? std::optional(known.prev()) : std::nullopt;
    if (its_later == later && known.flags() == filter.flags && known.filter() == bytes)
      return static_cast<uint32_t>(i);
  }
  pb::seccomp_filter& added = *all.add_seccomp_filters();
  added.set_filter(std::string(bytes));
  if (later) added.set_prev(*later);
  added.set_flags(static_cast<uint32_t>(filter.flags));
  return static_cast<uint32_t>(all.seccomp_filters_size() - 1);
}

// The first call of the way out that the filters would not let pass.
std::optional<int> forbidden_on_the_way_out(const std::vector<Filter>& filters,
                                            uint32_t architecture) {
  for (const int nr : kWayOut) {
    seccomp_data call{};
    call.nr = nr;
    call.arch = architecture;
    uint32_t answer = SECCOMP_RET_ALLOW;
    for (const Filter& filter : filters)
      answer = stricter_answer(
          answer, run_seccomp_program(filter.program, call).value_or(SECCOMP_RET_KILL_PROCESS));
    if (const uint32_t action = answer & SECCOMP_RET_ACTION_FULL;
        action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG)
      return nr;
  }
  return std::nullopt;
}

Result<std::vector<Filter>> capture_filters(const ThreadCapture& thread) {
  std::vector<Filter> filters = TRY_IN(read_filters(thread.tid()), "reading the seccomp filters");
  if (filters.empty()) return Error::of(ErrorKind::os, "in filter mode, but without filters");
  for (const Filter& filter : filters) {
    if (may_answer(filter.program, SECCOMP_RET_USER_NOTIF))
      thread.task.block(fmt::format("thread {}", thread.tid()),
                        "has a seccomp filter that asks a supervisor (SECCOMP_RET_USER_NOTIF)",
                        "the connection to the supervisor cannot be made again");
  }
  const ptrace_syscall_info info = TRY(sys::ptrace_get_syscall_info(thread.tid()));
  if (const std::optional<int> call = forbidden_on_the_way_out(filters, info.arch))
    thread.task.capture.log.warn(
        "The seccomp filter of thread {} forbids {}: if cryo is killed during the dump, the task "
        "is killed or harmed, ignoring",
        thread.tid(), syscall_name(*call));
  return filters;
}

// The thread's filters; none unless it is in filter mode.
Result<std::vector<Filter>> capture_thread(const ThreadCapture& thread) {
  const uint32_t mode = thread.status().seccomp;
  thread.core().set_seccomp_mode(static_cast<pb::seccomp_mode>(mode));
  if (mode == SECCOMP_MODE_DISABLED) return std::vector<Filter>{};
  TRY(suspend(thread.tid()));
  if (mode == SECCOMP_MODE_FILTER) return capture_filters(thread);
  if (mode != SECCOMP_MODE_STRICT) return Error::unsupported(fmt::format("seccomp mode {}", mode));
  thread.task.capture.log.warn(
      "Thread {} is in strict seccomp mode: if cryo is killed during the dump, the task is killed, "
      "ignoring",
      thread.tid());
  return std::vector<Filter>{};
}

void write_chain(const ThreadCapture& thread, const std::vector<Filter>& filters) {
  if (filters.empty()) return;
  std::optional<uint32_t> later;
  for (size_t i = filters.size(); i-- > 0;)
    later = add_filter(thread.task.capture.seccomp, filters[i], later);
  thread.core().set_seccomp_filter(*later);
}

Result<void> capture(TaskCapture& task) {
  std::vector<ThreadCapture> threads;
  for (size_t i = 0; i < task.threads.size(); ++i) threads.push_back({task, i});
  std::vector<std::vector<Filter>> chains;
  for (const ThreadCapture& thread : threads) {
    std::vector<Filter> chain = TRY_IN(capture_thread(thread), "of thread {}", thread.tid());
    chains.push_back(std::move(chain));
  }
  const bool all_the_same = std::equal(chains.begin() + 1, chains.end(), chains.begin());
  if (!all_the_same || chains[0].empty()) {
    for (size_t i = 0; i < threads.size(); ++i) write_chain(threads[i], chains[i]);
    return {};
  }
  for (Filter& filter : chains[0]) filter.flags |= SECCOMP_FILTER_FLAG_TSYNC;
  write_chain(threads[0], chains[0]);
  for (size_t i = 1; i < threads.size(); ++i) threads[i].core().set_seccomp_mode(pb::disabled);
  return {};
}

// --- restore

struct Mode {
  uint32_t mode = SECCOMP_MODE_DISABLED;
  std::vector<const pb::seccomp_filter*> filters;  // the first one installed first
};

Result<Mode> decode(const TaskRestore& task, const ThreadImage& thread) {
  const pb::thread_core_entry& core = thread.core.thread_core();
  const pb::task_core_entry& tc = task.image.tc();
  // Images of old have one for all threads.
  Mode mode{
      static_cast<uint32_t>(core.has_seccomp_mode() ? core.seccomp_mode() : tc.old_seccomp_mode()),
      {}};
  if (mode.mode != SECCOMP_MODE_FILTER) return mode;
  const pb::seccomp_entry& all = task.restore.snapshot.seccomp;
  uint32_t index = core.has_seccomp_mode() ? core.seccomp_filter() : tc.old_seccomp_filter();
  size_t instructions = 0;
  for (;;) {
    if (index >= static_cast<uint32_t>(all.seccomp_filters_size()))
      return Error::bad_image(
          fmt::format("seccomp: no filter {}, which thread {} has", index, thread.tid));
    const pb::seccomp_filter& filter = all.seccomp_filters(static_cast<int>(index));
    const size_t size = filter.filter().size();
    if (size == 0 || size % sizeof(sock_filter) != 0 || size / sizeof(sock_filter) > BPF_MAXINSNS)
      return Error::bad_image(fmt::format("seccomp: filter {} of {} bytes", index, size));
    instructions += size / sizeof(sock_filter);
    if (instructions > kMostInstructions)
      return Error::bad_image(
          fmt::format("seccomp: the filters of thread {} have more than {} instructions",
                      thread.tid, kMostInstructions));
    mode.filters.push_back(&filter);
    if (!filter.has_prev()) return mode;
    index = filter.prev();
  }
}

// Of all threads. Those without a mode of their own have the leader's filters if these are marked so.
Result<std::vector<Mode>> decode_all(const TaskRestore& task) {
  std::vector<Mode> modes;
  for (const ThreadImage& thread : task.image.threads) {
    Mode mode = TRY(decode(task, thread));
    modes.push_back(std::move(mode));
  }
  const bool marked = std::any_of(
      modes[0].filters.begin(), modes[0].filters.end(),
      [](const auto* filter) { return (filter->flags() & SECCOMP_FILTER_FLAG_TSYNC) != 0; });
  for (size_t i = 1; marked && i < modes.size(); ++i) {
    if (modes[i].mode == SECCOMP_MODE_DISABLED) modes[i] = modes[0];
  }
  return modes;
}

void install(Batch& batch, const pb::seccomp_filter& filter, uint64_t flags) {
  const Data program = batch.put(std::as_bytes(std::span(filter.filter())));
  sock_fprog header{};
  header.len = static_cast<unsigned short>(filter.filter().size() / sizeof(sock_filter));
  const Data at = batch.put(header);
  batch.point(at, offsetof(sock_fprog, filter), program);
  // What a filter changes about speculation is restored by itself.
  flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW | (filter.flags() & SECCOMP_FILTER_FLAG_LOG);
  batch.call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, at).expect_exactly(0);
}

bool are_the_same(const pb::seccomp_filter* one, const pb::seccomp_filter* other) {
  const uint64_t both = one->flags() ^ other->flags();
  return (both & SECCOMP_FILTER_FLAG_LOG) == 0 && one->filter() == other->filter();
}

size_t length_in_common(const std::vector<Mode>& modes) {
  size_t length = modes.front().filters.size();
  for (const Mode& mode : modes) {
    const auto differ =
        std::mismatch(mode.filters.begin(), mode.filters.end(), modes.front().filters.begin(),
                      modes.front().filters.end(), are_the_same);
    length = std::min(length, static_cast<size_t>(differ.first - mode.filters.begin()));
  }
  return length;
}

Result<void> compile(TaskRestore& task) {
  const std::vector<Mode> modes = TRY(decode_all(task));
  const size_t common = length_in_common(modes);
  for (size_t i = 0; i < common; ++i)
    install(task.plan.calls(Phase::spawn), *modes[0].filters[i],
            modes.size() > 1 ? SECCOMP_FILTER_FLAG_TSYNC : 0);
  for (size_t thread = 0; thread < modes.size(); ++thread) {
    const Mode& mode = modes[thread];
    if (mode.mode == SECCOMP_MODE_STRICT)
      task.plan.calls(Phase::seccomp, thread).call(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    for (size_t i = common; i < mode.filters.size(); ++i)
      install(task.plan.calls(Phase::seccomp, thread), *mode.filters[i], 0);
  }
  return {};
}

}  // namespace

const TaskKind seccomp_kind = {.name = "seccomp", .capture = capture, .compile = compile};

}  // namespace cryo
