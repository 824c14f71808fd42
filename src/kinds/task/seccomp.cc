// Seccomp: the mode of each thread, and in filter mode its chain of cBPF programs, the last one installed first.
//
// Chains share their beginnings: a thread inherits its maker's filters, and SECCOMP_FILTER_FLAG_TSYNC gives all
// threads those of one. Which filters are the same object cannot be seen; equal ones with equal predecessors are
// taken to be. What all threads have in common is one object again after a restore, so that a later TSYNC of the
// program works.
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

using Program = std::vector<sock_filter>;

struct Filter {
  Program program;
  uint64_t flags;
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

uint32_t add_filter(pb::seccomp_entry& all, const Filter& filter,
                    std::optional<uint32_t> previous) {
  const std::string_view bytes = bytes_of(filter.program);
  for (int i = 0; i < all.seccomp_filters_size(); ++i) {
    const pb::seccomp_filter& known = all.seccomp_filters(i);
    const std::optional<uint32_t> before =
        known.has_prev() ? std::optional(known.prev()) : std::nullopt;
    if (before == previous && known.flags() == filter.flags && known.filter() == bytes)
      return static_cast<uint32_t>(i);
  }
  pb::seccomp_filter& added = *all.add_seccomp_filters();
  added.set_filter(std::string(bytes));
  if (previous) added.set_prev(*previous);
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

Result<void> capture_filters(ThreadCapture& thread) {
  const std::vector<Filter> filters =
      TRY_IN(read_filters(thread.tid()), "reading the seccomp filters");
  std::optional<uint32_t> last;
  for (size_t i = filters.size(); i-- > 0;) {
    if (may_answer(filters[i].program, SECCOMP_RET_USER_NOTIF))
      thread.task.block(fmt::format("thread {}", thread.tid()),
                        "has a seccomp filter that asks a supervisor (SECCOMP_RET_USER_NOTIF)",
                        "the connection to the supervisor cannot be made again");
    last = add_filter(thread.task.capture.seccomp, filters[i], last);
  }
  if (!last) return Error::of(ErrorKind::os, "in filter mode, but without filters");
  thread.core().set_seccomp_filter(*last);
  const ptrace_syscall_info info = TRY(sys::ptrace_get_syscall_info(thread.tid()));
  if (const std::optional<int> call = forbidden_on_the_way_out(filters, info.arch))
    thread.task.capture.log.warn(
        "The seccomp filter of thread {} forbids {}: if cryo is killed during the dump, the task "
        "is killed or harmed, ignoring",
        thread.tid(), syscall_name(*call));
  return {};
}

Result<void> capture_thread(ThreadCapture& thread) {
  const uint32_t mode = thread.status().seccomp;
  thread.core().set_seccomp_mode(static_cast<pb::seccomp_mode>(mode));
  if (mode == SECCOMP_MODE_DISABLED) return {};
  TRY(suspend(thread.tid()));
  if (mode == SECCOMP_MODE_FILTER) return capture_filters(thread);
  if (mode != SECCOMP_MODE_STRICT) return Error::unsupported(fmt::format("seccomp mode {}", mode));
  thread.task.capture.log.warn(
      "Thread {} is in strict seccomp mode: if cryo is killed during the dump, the task is killed, "
      "ignoring",
      thread.tid());
  return {};
}

// --- restore

struct Mode {
  uint32_t mode = SECCOMP_MODE_DISABLED;
  std::vector<uint32_t> filters;  // the first one installed first
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
  for (;;) {
    if (index >= static_cast<uint32_t>(all.seccomp_filters_size()) ||
        mode.filters.size() > static_cast<size_t>(all.seccomp_filters_size()))
      return Error::bad_image(
          fmt::format("seccomp: no filter {}, which thread {} has", index, thread.tid));
    const pb::seccomp_filter& filter = all.seccomp_filters(static_cast<int>(index));
    const size_t size = filter.filter().size();
    if (size == 0 || size % sizeof(sock_filter) != 0 || size / sizeof(sock_filter) > BPF_MAXINSNS)
      return Error::bad_image(fmt::format("seccomp: filter {} of {} bytes", index, size));
    mode.filters.insert(mode.filters.begin(), index);
    if (!filter.has_prev()) return mode;
    index = filter.prev();
  }
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

size_t length_in_common(const std::vector<Mode>& modes) {
  size_t length = modes.front().filters.size();
  for (const Mode& mode : modes) {
    const auto differ = std::mismatch(mode.filters.begin(), mode.filters.end(),
                                      modes.front().filters.begin(), modes.front().filters.end());
    length = std::min(length, static_cast<size_t>(differ.first - mode.filters.begin()));
  }
  return length;
}

Result<void> compile(TaskRestore& task) {
  const pb::seccomp_entry& all = task.restore.snapshot.seccomp;
  std::vector<Mode> modes;
  for (const ThreadImage& thread : task.image.threads) {
    Mode mode = TRY(decode(task, thread));
    modes.push_back(std::move(mode));
  }
  const size_t common = length_in_common(modes);
  for (size_t i = 0; i < common; ++i)
    install(task.plan.calls(Phase::spawn),
            all.seccomp_filters(static_cast<int>(modes[0].filters[i])),
            modes.size() > 1 ? SECCOMP_FILTER_FLAG_TSYNC : 0);
  for (size_t thread = 0; thread < modes.size(); ++thread) {
    const Mode& mode = modes[thread];
    if (mode.mode == SECCOMP_MODE_STRICT)
      task.plan.calls(Phase::seccomp, thread).call(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    for (size_t i = common; i < mode.filters.size(); ++i)
      install(task.plan.calls(Phase::seccomp, thread),
              all.seccomp_filters(static_cast<int>(mode.filters[i])), 0);
  }
  return {};
}

}  // namespace

const TaskKind seccomp_kind = {
    .name = "seccomp", .capture_thread = capture_thread, .compile = compile};

}  // namespace cryo
