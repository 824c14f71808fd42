// What a dump hands to the kinds: the operation, one task of it, one thread of that task.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "image/store.h"
#include "model/snapshot.h"
#include "plan/fd_view.h"
#include "plan/job.h"
#include "plan/options.h"
#include "plan/report.h"
#include "plan/shelf.h"
#include "plan/undo.h"
#include "procfs/reader.h"
#include "puppet/injection.h"
#include "trace/thread_records.h"

namespace cryo {

class FileTable;
class Host;

// The whole operation.
struct Capture {
  const DumpOptions& options;
  Log& log;
  ImageWriter& images;
  FileTable& files;
  DumpReport& report;
  uint32_t next_pages_id = 1;  // of pages-N.img
  uint32_t next_file_id = 1;
  std::vector<Blocker>& blockers;  // what cannot be dumped; found all at once, reported together
  std::function<void(const Progress&)> progress;
  pb::seccomp_entry& seccomp;  // the filters of all tasks
  Shelf shelf{};
  Undo undo{};
  // Done when all tasks are captured: what can be said only then.
  std::vector<std::function<void()>> finally{};
  // To be called between the steps of long work: an error when cryo was asked to end.
  std::function<Result<void>()> keep_going = [] { return Result<void>(); };
};

// One task. From /proc; valid whether the task runs (--explain, the look before the freeze) or is frozen.
struct TaskView {
  Capture& capture;
  Pid pid;
  const procfs::ProcTask& proc;
  procfs::TaskStat stat;
  procfs::TaskStatus status;
  std::vector<procfs::Vma> vmas;  // with VmFlags
  std::vector<FdView> fds;        // ascending

  void block(std::string where, std::string what, std::string remedy = "") const {
    capture.blockers.push_back({pid, std::move(where), std::move(what), std::move(remedy)});
  }
};

// One frozen task.
struct TaskCapture : TaskView {
  std::vector<FrozenThread> threads;         // the leader first
  std::vector<procfs::TaskStatus> statuses;  // of the threads
  // Of the threads; empty where the kernel does not let us look, or that would not pay.
  std::vector<ThreadRecord> records;
  Fd mem;           // /proc/PID/mem, read-write
  TaskImage image;  // what the kinds fill in
};

struct ThreadCapture {
  TaskCapture& task;
  size_t index;  // 0 is the leader

  const FrozenThread& frozen() const { return task.threads[index]; }
  const procfs::TaskStatus& status() const { return task.statuses[index]; }
  // Null when it is not known.
  const ThreadRecord* record() const {
    return task.records.empty() ? nullptr : &task.records[index];
  }
  Tid tid() const { return frozen().task.tid(); }
  ThreadImage& image() const { return task.image.threads[index]; }
  pb::thread_core_entry& core() const { return *image().core.mutable_thread_core(); }
};

// What a kind does with the answers to the calls that it put into a batch.
using Answer = std::function<Result<void>(const Outcome&)>;

// Open file descriptions and the paths that are recorded like them (exe, cwd, root, mapped files).
class FileTable {
 public:
  virtual ~FileTable() = default;
  // The id of what `view` shows; captured by its kind the first time. Views of the same description
  // share an id.
  virtual Result<FileId> add(const TaskView& task, const FdView& view) = 0;
  // One more entry, which no descriptor shows: type and id are set, the rest is up to the caller.
  virtual pb::file_entry& new_entry(Capture& capture, pb::fd_types type) = 0;
};

}  // namespace cryo
