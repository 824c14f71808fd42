#include "kinds/files/owner.h"

#include <sys/syscall.h>

#include <set>

#include "fdinfo.pb.h"
#include "kinds/registry.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

bool in_task(const TaskView& task, const sys::FdOwner& owner) {
  if (owner.type == F_OWNER_PGRP) return owner.pid == task.stat.pgrp;
  if (owner.type == F_OWNER_PID) return owner.pid == task.pid.value;
  const Result<bool> thread = sys::exists(task.proc.dir(), fmt::format("task/{}", owner.pid));
  return thread && thread.value();
}

bool in_task(const TaskImage& image, const sys::FdOwner& owner) {
  if (owner.type == F_OWNER_PGRP) return static_cast<uint32_t>(owner.pid) == image.node.pgid();
  if (owner.type == F_OWNER_PID) return owner.pid == image.pid().value;
  for (const ThreadImage& thread : image.threads)
    if (thread.tid.value == owner.pid) return true;
  return false;
}

void restore_owner(TaskRestore& task, uint32_t fd, const pb::fown_entry& owner) {
  // Threads exist, and everybody still has all rights.
  Batch& batch = task.plan.calls(Phase::signals);
  if (owner.pid() != 0) {
    const sys::FdOwner who{static_cast<int>(owner.pid_type()), static_cast<int>(owner.pid())};
    if (!in_task(task.image, who)) {
      task.restore.log.warn("fd {} sends its signals to {}, which is not restored, ignoring", fd,
                            who.pid);
    } else {
      const bool others = owner.uid() != 0 || owner.euid() != 0;
      if (others) batch.call(SYS_setresuid, owner.uid(), owner.euid(), 0);
      batch.call(SYS_fcntl, fd, F_SETOWN_EX, batch.put(who));
      if (others) batch.call(SYS_setresuid, 0, 0, 0);
    }
  }
  if (owner.signum() != 0) batch.call(SYS_fcntl, fd, F_SETSIG, owner.signum());
}

}  // namespace

void set_no_owner(pb::fown_entry& owner) {
  owner.set_uid(0);
  owner.set_euid(0);
  owner.set_signum(0);
  owner.set_pid_type(0);
  owner.set_pid(0);
}

Result<void> capture_owner(const TaskView& task, const FdView& view, FdRef description,
                           pb::fown_entry& owner) {
  const sys::FdOwner who = TRY(sys::get_owner(description));
  const int signal = TRY(sys::get_signal(description));
  owner.set_signum(static_cast<uint32_t>(signal));
  if (who.pid == 0) return {};
  if (!in_task(task, who)) {
    task.block(
        view.path,
        fmt::format("sends its signals (F_SETOWN) to {}, which is not part of the dump", who.pid));
    return {};
  }
  const sys::OwnerUids ids = TRY(sys::get_owner_uids(description));
  owner.set_uid(ids.uid);
  owner.set_euid(ids.euid);
  owner.set_pid_type(static_cast<uint32_t>(who.type));
  owner.set_pid(static_cast<uint32_t>(who.pid));
  return {};
}

Result<void> compile_owners(TaskRestore& task) {
  std::set<uint32_t> done;
  for (const pb::fdinfo_entry& entry : task.image.fds) {
    if (!done.insert(entry.id()).second) continue;
    const auto found = task.restore.snapshot.files.find(FileId{entry.id()});
    const FileKind* kind = file_kind_of(entry.type());
    if (found == task.restore.snapshot.files.end() || kind == nullptr || kind->owner == nullptr)
      continue;
    const pb::fown_entry& owner = kind->owner(found->second);
    if (owner.pid() != 0 || owner.signum() != 0) restore_owner(task, entry.fd(), owner);
  }
  return {};
}

}  // namespace cryo
