#include "engine/target.h"

#include <fcntl.h>

#include <algorithm>

#include "sys/process.h"

namespace cryo {
namespace {

bool is_ancestor(const procfs::ProcDir& dir, Pid pid) {
  for (Pid at = sys::getpid(); at.value > 0;) {
    if (at == pid) return true;
    const Result<procfs::ProcTask> task = dir.task(at);
    if (!task) return false;
    const Result<procfs::TaskStat> stat = task.value().stat();
    if (!stat) return false;
    at = Pid{stat.value().ppid};
  }
  return false;
}

std::string name_of(const procfs::ProcDir& dir, Pid pid) {
  const Result<procfs::ProcTask> task = dir.task(pid);
  if (!task) return fmt::format("process {}", pid);
  return fmt::format("process {} ({})", pid, task.value().comm().value_or("?"));
}

std::string tracer_text(int32_t tracer) {
  const Result<procfs::ProcDir> dir = procfs::ProcDir::open();
  return dir ? name_of(dir.value(), Pid{tracer}) : fmt::format("process {}", tracer);
}

bool is_denied(const Result<void>& look) {
  return !look && look.error().kind() == ErrorKind::denied;
}

// The kernel shows descriptors to the owner of a process, and memory to who may trace it. Root may see everything, so
// that it costs nothing to find out.
void examine_rights(Pid pid, const procfs::ProcTask& proc, const procfs::TaskStatus& status,
                    std::vector<Blocker>& blockers) {
  const uint32_t self = sys::geteuid();
  if (self == 0) return;
  const auto can_open = [&](const char* name, int flags) -> Result<void> {
    TRY(proc.open(name, flags));
    return {};
  };
  const bool memory = is_denied(can_open("maps", O_RDONLY));
  if (!memory && !is_denied(can_open("fd", O_RDONLY | O_DIRECTORY))) return;
  if (status.uids[1] != self)
    blockers.push_back({pid, "",
                        fmt::format("belongs to user {}, and cryo runs as user {}, who may not "
                                    "look into it",
                                    status.uids[1], self),
                        "run cryo as root, or as that user"});
  else
    blockers.push_back(
        {pid, "",
         "hides its state from its own user, as programs with more rights than "
         "their user's do",
         memory ? "run cryo as root, or give it CAP_SYS_PTRACE too" : "run cryo as root"});
}

}  // namespace

Result<procfs::ProcTask> open_target(const procfs::ProcDir& proc, Pid pid) {
  Result<procfs::ProcTask> task = proc.task(pid);
  if (!task && task.error().kind() == ErrorKind::gone)
    return Error::gone(fmt::format("there is no process {}", pid))
        .hint("see ps -e; pids are those of cryo's own pid namespace");
  return task;
}

// Each thread may have children, and of many threads it takes long to find out that they have none.
Result<std::vector<Pid>> children_of(Pid pid, const procfs::ProcTask& proc, size_t threads,
                                     ThreadRecorder& recorder) {
  constexpr size_t kFew = 32;
  if (threads > kFew) {
    const Result<ThreadRecords> records = recorder.read(pid);
    if (records && std::ranges::none_of(records.value(), [](const auto& entry) {
          return entry.second.has_children;
        }))
      return std::vector<Pid>();
  }
  return proc.children();
}

Result<void> examine_target(const procfs::ProcDir& dir, Pid pid, const procfs::ProcTask& proc,
                            std::vector<Blocker>& blockers) {
  const auto block = [&](std::string what, std::string remedy) {
    blockers.push_back({pid, "", std::move(what), std::move(remedy)});
  };
  const procfs::TaskStat stat = TRY(proc.stat());
  const procfs::TaskStatus status = TRY(proc.status());
  if (status.kernel_thread || stat.kernel_thread()) {
    block("is a thread of the kernel, not a process", "");
    return {};
  }
  if (status.tgid != pid.value) {
    block(fmt::format("is a thread of process {}", status.tgid),
          fmt::format("dump {}", status.tgid));
    return {};
  }
  if (stat.zombie()) {
    const Result<std::vector<Tid>> threads = proc.threads();
    const size_t others = threads && !threads.value().empty() ? threads.value().size() - 1 : 0;
    if (others != 0)
      block(fmt::format("has lost its first thread, while {} others go on", others),
            "such processes cannot be dumped");
    else
      block("is a zombie: it has ended and waits for its parent to notice", "");
    return {};
  }
  if (is_ancestor(dir, pid)) {
    block(pid == sys::getpid() ? "is cryo itself"
                               : "is an ancestor of cryo, which would have to dump itself",
          "run cryo from another session");
    return {};
  }
  if (status.tracer_pid != 0 && status.tracer_pid != sys::getpid().value)
    block(fmt::format("is traced by {}", tracer_text(status.tracer_pid)),
          "end the debugger or tracer, or let it detach");
  examine_rights(pid, proc, status, blockers);
  return {};
}

std::string who_traces(const procfs::ProcTask& proc) {
  const Result<std::vector<Tid>> tids = proc.threads();
  if (!tids) return "";
  for (const Tid tid : tids.value()) {
    const Result<procfs::ProcTask> thread = proc.thread(tid);
    if (!thread) continue;
    const Result<procfs::TaskStatus> status = thread.value().status();
    if (!status || status.value().tracer_pid == 0 ||
        status.value().tracer_pid == sys::getpid().value)
      continue;
    return fmt::format("thread {} is traced by {}", tid, tracer_text(status.value().tracer_pid));
  }
  return "";
}

}  // namespace cryo
