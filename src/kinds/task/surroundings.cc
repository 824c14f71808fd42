// What surrounds a process and does not go into its images: tracer, security label, control group, keyrings, core
// scheduling cookie. A restored process gets cryo's own; where that would be a loss, the dump is refused or says so.
//
// Not visible from anywhere, and therefore lost without a word: a Landlock domain.
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kinds/all.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/raw.h"

namespace cryo {
namespace {

constexpr int kThreadKeyring = -1, kProcessKeyring = -2, kSessionKeyring = -3;  // KEY_SPEC_*
constexpr int kGetKeyringId = 0;  // KEYCTL_GET_KEYRING_ID

// Empty without a security module that has labels.
std::string label_of(FdRef proc) {
  std::string label = sys::read_file(proc, "attr/current").value_or("");
  while (!label.empty() && (label.back() == '\n' || label.back() == '\0')) label.pop_back();
  return label;
}

Result<void> examine(const TaskView& task) {
  if (task.status.tracer_pid != 0 && task.status.tracer_pid != sys::gettid().value &&
      task.status.tracer_pid != sys::getpid().value)
    task.block("", fmt::format("is traced by process {}", task.status.tracer_pid),
               "detach the debugger or strace");
  const std::string label = label_of(task.proc.dir());
  if (label.empty() || label == "unconfined") return {};
  const Fd self = TRY(sys::open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (label != label_of(self))
    task.block("", fmt::format("has the security label '{}'", label),
               "labels other than cryo's own cannot be restored yet");
  return {};
}

// Inherited like ours, so that only another one than ours would be lost.
uint64_t cookie_of(Tid tid) {
  uint64_t cookie = 0;
  const int64_t got =
      sys::raw_call(SYS_prctl, PR_SCHED_CORE, PR_SCHED_CORE_GET, static_cast<uint64_t>(tid.value),
                    PR_SCHED_CORE_SCOPE_THREAD, reinterpret_cast<uint64_t>(&cookie));
  return got == 0 ? cookie : 0;
}

Result<void> capture(TaskCapture& task) {
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  const std::string theirs = TRY(task.proc.read("cgroup"));
  const std::string ours = TRY(self.read("cgroup"));
  if (theirs != ours)
    task.capture.log.warn(
        "Process {} is in control groups of its own; restored, it will be in those of the restore, "
        "ignoring",
        task.pid);
  if (const uint64_t cookie = cookie_of(leader_of(task.pid));
      cookie != 0 && cookie != cookie_of(Tid{0}))
    task.block("", "has a core scheduling cookie", "cookies cannot be restored");
  return {};
}

Result<Answer> ask_thread(ThreadCapture& thread, Batch& batch) {
  const uint32_t first = batch.size();
  for (const int keyring : {kThreadKeyring, kProcessKeyring, kSessionKeyring})
    batch.call(SYS_keyctl, kGetKeyringId, keyring, 0).any_result();
  TaskCapture* task = &thread.task;
  const Tid tid = thread.tid();
  return Answer([=](const Outcome& outcome) -> Result<void> {
    const std::string where = fmt::format("thread {}", tid);
    if (outcome.result(first) > 0)
      task->block(where, "has a thread keyring", "keyrings cannot be restored");
    const bool is_leader = tid == leader_of(task->pid);
    if (!is_leader) return {};
    if (outcome.result(first + 1) > 0)
      task->block("", "has a process keyring", "keyrings cannot be restored");
    const int64_t session = outcome.result(first + 2);
    if (session > 0 && session != sys::raw_call(SYS_keyctl, kGetKeyringId,
                                                static_cast<uint64_t>(kSessionKeyring), 0))
      task->capture.log.warn(
          "Process {} has a session keyring of its own; restored, it will have that of the "
          "restore, ignoring",
          task->pid);
    return {};
  });
}

// Keyrings belong to the credentials: there is nothing to say that was not said of the other thread.
bool adopt_thread(ThreadCapture&, const ThreadImage&) { return true; }

}  // namespace

const TaskKind surroundings_kind = {.name = "surroundings",
                                    .examine = examine,
                                    .capture = capture,
                                    .ask_thread = ask_thread,
                                    .adopt_thread = adopt_thread};

}  // namespace cryo
