// ProcDir: a /proc, or a tree of files that looks like one. ProcTask: one task of it, held by a
// descriptor, so that a reused pid is never mistaken for the task.
//
// A task that has died is ErrorKind::gone whatever the kernel answers (ESRCH, or ENOENT while its
// entry is being taken down). A zombie is still there; its maps, numa_maps and timers are empty.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "procfs/fdinfo.h"
#include "procfs/mountinfo.h"
#include "procfs/stat.h"
#include "procfs/status.h"
#include "procfs/task_files.h"
#include "procfs/vma.h"
#include "sys/path.h"

namespace cryo::procfs {

class ProcTask {
 public:
  FdRef dir() const { return dir_; }
  // "process 12" or "thread 13 of 12", for messages.
  const std::string& name() const { return name_; }

  // Any file below the task's directory.
  Result<Fd> open(sys::PathRef path, int flags) const;
  Result<std::string> read(sys::PathRef path) const;
  Result<void> write(sys::PathRef path, std::string_view text) const;
  Result<Link> link(sys::PathRef path) const;  // exe, cwd, root, ns/mnt...

  Result<TaskStat> stat() const;
  Result<TaskStatus> status() const;
  Result<std::vector<Vma>> maps() const;
  // At most the first `most` of them: each costs the kernel a walk of its page tables.
  Result<std::vector<Vma>> smaps(size_t most = SIZE_MAX) const;
  Result<std::vector<NumaPolicy>> numa_maps() const;
  Result<std::string> comm() const;
  Result<std::string> auxv() const;  // bytes: parse_auxv
  Result<std::array<Limit, kLimits>> limits() const;
  Result<std::vector<PosixTimer>> timers() const;
  Result<std::vector<Mount>> mountinfo() const;
  Result<std::vector<CgroupMembership>> cgroup() const;
  Result<SyscallState> syscall() const;
  Result<int32_t> oom_score_adj() const;
  Result<uint32_t> coredump_filter() const;
  Result<uint32_t> loginuid() const;  // ~0: not set, also where the kernel has no audit
  Result<uint64_t> timerslack_ns() const;
  Result<uint32_t> personality() const;

  // Only below a process, not below a thread.
  Result<std::vector<Tid>> threads() const;   // ascending
  Result<std::vector<Pid>> children() const;  // of all its threads
  Result<ProcTask> thread(Tid tid) const;

  Result<std::vector<FdNo>> fds() const;  // ascending
  Result<Link> fd_link(FdNo fd) const;
  Result<FdInfo> fdinfo(FdNo fd) const;

  // What maps /proc/PID/map_files/START-END: exact where the text of maps is ambiguous.
  struct MapFile {
    Link link;
    struct stat stat;
  };
  Result<MapFile> map_file(const Vma& vma) const;
  Result<Fd> open_map_file(const Vma& vma, int flags) const;

 private:
  friend class ProcDir;
  ProcTask(Fd dir, std::string name) : dir_(std::move(dir)), name_(std::move(name)) {}
  // Tells a dead task from a file that this kernel does not have.
  Error explain(Error error, sys::PathRef path) const;
  template <class Parse>
  auto parsed(sys::PathRef path, Parse&& parse) const -> decltype(parse(std::string()));

  Fd dir_;
  std::string name_;
};

class ProcDir {
 public:
  static Result<ProcDir> open(sys::PathRef root = "/proc");
  explicit ProcDir(Fd root) : root_(std::move(root)) {}

  FdRef dir() const { return root_; }
  Result<ProcTask> task(Pid pid) const;
  Result<ProcTask> self() const;  // the calling thread
  Result<std::vector<Pid>> pids() const;
  Result<std::string> read(sys::PathRef path) const;  // "sys/kernel/pid_max"

 private:
  Fd root_;
};

}  // namespace cryo::procfs
