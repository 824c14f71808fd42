// Small settings of a whole process: child subreaper, out-of-memory score, core dump filter, login uid,
// memory-deny-write-execute, KSM for everything, the nice value of its autogroup.
#include <linux/prctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <charconv>

#include "kinds/all.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/uapi.h"

namespace cryo {
namespace {

constexpr uint32_t kNoLoginuid = 0xffffffff;
constexpr std::string_view kAutogroupNice = " nice ";

// "/autogroup-12 nice 5"; none without CONFIG_SCHED_AUTOGROUP.
Result<std::optional<int>> autogroup_nice(const procfs::ProcTask& proc) {
  const Result<std::string> text = proc.read("autogroup");
  if (!text)
    return text.error().kind() == ErrorKind::gone
               ? Result<std::optional<int>>(Error::gone(text.error().message()))
               : std::optional<int>();
  const size_t at = text.value().find(kAutogroupNice);
  if (at == std::string::npos) return std::optional<int>();
  int nice = 0;
  const char* begin = text.value().data() + at + kAutogroupNice.size();
  if (std::from_chars(begin, text.value().data() + text.value().size(), nice).ec != std::errc())
    return std::optional<int>();
  return std::optional(nice);
}

Result<void> capture(TaskCapture& task) {
  pb::task_core_entry& tc = task.image.mutable_tc();
  tc.set_oom_score_adj(TRY(task.proc.oom_score_adj()));
  tc.set_loginuid(TRY(task.proc.loginuid()));
  pb::cryo_task_attributes_entry& extra = *task.image.extra.mutable_attributes();
  extra.set_coredump_filter(TRY(task.proc.coredump_filter()));
  const std::optional<int> nice = TRY(autogroup_nice(task.proc));
  // It belongs to the session.
  if (nice && task.stat.session == task.pid.value) extra.set_autogroup_nice(*nice);
  return {};
}

Result<Answer> ask(TaskCapture& task, Batch& batch) {
  const Data subreaper = batch.reserve(8);
  batch.call(SYS_prctl, PR_GET_CHILD_SUBREAPER, subreaper, 0, 0, 0);
  const uint32_t first = batch.size();
  batch.call(SYS_prctl, PR_GET_MDWE, 0, 0, 0, 0).any_result();
  batch.call(SYS_prctl, PR_GET_MEMORY_MERGE, 0, 0, 0, 0).any_result();
  return Answer([&task, subreaper, first](const Outcome& outcome) -> Result<void> {
    if (outcome.get<int>(subreaper) != 0) task.image.mutable_tc().set_child_subreaper(true);
    pb::cryo_task_attributes_entry& extra = *task.image.extra.mutable_attributes();
    if (outcome.result(first) > 0) extra.set_mdwe(static_cast<uint64_t>(outcome.result(first)));
    if (outcome.result(first + 1) > 0)
      extra.set_memory_merge(static_cast<uint64_t>(outcome.result(first + 1)));
    return {};
  });
}

// --- restore

// What the host does not allow is no reason to have no restore.
Result<void> tolerate_denial(Result<void> done, const TaskStage& stage, std::string_view what) {
  if (done || done.error().kind() != ErrorKind::denied) return done;
  stage.log.warn("The {} of {} cannot be restored: {}, ignoring", what, stage.pid,
                 done.error().message());
  return {};
}

Result<void> write_file(const TaskStage& stage, const char* name, std::string_view text) {
  const Fd file = TRY(sys::openat(stage.proc, name, O_WRONLY | O_CLOEXEC));
  return sys::write_all(file, text.data(), text.size());
}

Result<void> set_oom_score(TaskStage& stage, int wanted) {
  const std::string now = TRY(sys::read_file(stage.proc, "oom_score_adj"));
  if (now == fmt::format("{}\n", wanted)) return {};
  return tolerate_denial(write_file(stage, "oom_score_adj", fmt::to_string(wanted)), stage,
                         "out-of-memory score");
}

Result<void> set_coredump_filter(TaskStage& stage, uint32_t wanted) {
  const std::string now = TRY(sys::read_file(stage.proc, "coredump_filter"));
  if (now == fmt::format("{:08x}\n", wanted)) return {};
  return write_file(stage, "coredump_filter", fmt::format("{:#x}", wanted));
}

// The kernel takes it from the process itself only.
Result<void> set_loginuid(TaskStage& stage, uint32_t wanted) {
  Batch open;
  open.call(SYS_openat, AT_FDCWD, open.put_string("/proc/self/loginuid"), O_WRONLY).result_is_fd();
  const Outcome opened = TRY(stage.leader.run_all(open));
  const std::string text = fmt::to_string(wanted);
  Batch write;
  write.call(SYS_write, opened.result(0), write.put_string(text), text.size()).any_result();
  write.call(SYS_close, opened.result(0)).closes_fd();
  const Outcome written = TRY(stage.leader.run_all(write));
  if (written.result(0) < 0)
    stage.log.warn("The login uid of {} cannot be set to {} (error {}), ignoring", stage.pid,
                   wanted, -written.result(0));
  return {};
}

void compile_host_steps(TaskRestore& task, std::optional<uint32_t> own_loginuid) {
  const pb::task_core_entry& tc = task.image.tc();
  const pb::cryo_task_attributes_entry& extra = task.image.extra.attributes();
  if (tc.has_oom_score_adj())
    task.plan.host(
        Phase::late, fmt::format("oom_score_adj {}", tc.oom_score_adj()),
        [wanted = tc.oom_score_adj()](TaskStage& stage) { return set_oom_score(stage, wanted); });
  if (extra.has_coredump_filter())
    task.plan.host(Phase::late, fmt::format("coredump_filter {:#x}", extra.coredump_filter()),
                   [wanted = extra.coredump_filter()](TaskStage& stage) {
                     return set_coredump_filter(stage, wanted);
                   });
  // Before the task leaves our root directory and our descriptors come into its table.
  if (tc.has_loginuid() && tc.loginuid() != kNoLoginuid && tc.loginuid() != own_loginuid)
    task.plan.host(
        Phase::mm, fmt::format("loginuid {}", tc.loginuid()),
        [wanted = tc.loginuid()](TaskStage& stage) { return set_loginuid(stage, wanted); });
  if (extra.has_autogroup_nice() && extra.autogroup_nice() != 0)
    task.plan.host(Phase::late, fmt::format("autogroup nice {}", extra.autogroup_nice()),
                   [wanted = extra.autogroup_nice()](TaskStage& stage) {
                     return tolerate_denial(write_file(stage, "autogroup", fmt::to_string(wanted)),
                                            stage, "autogroup's nice value");
                   });
}

Result<void> compile(TaskRestore& task) {
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  compile_host_steps(task, TRY(self.loginuid()));
  const pb::cryo_task_attributes_entry& extra = task.image.extra.attributes();
  if (task.image.tc().child_subreaper())
    task.plan.calls(Phase::task).call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // All mappings are there, and none will be changed any more but to go away.
  Batch& late = task.plan.calls(Phase::late);
  if (extra.memory_merge() != 0)
    late.call(SYS_prctl, PR_SET_MEMORY_MERGE, extra.memory_merge(), 0, 0, 0);
  if (extra.mdwe() != 0) late.call(SYS_prctl, PR_SET_MDWE, extra.mdwe(), 0, 0, 0);
  return {};
}

}  // namespace

const TaskKind process_attributes_kind = {
    .name = "attributes of the process", .capture = capture, .ask = ask, .compile = compile};

}  // namespace cryo
