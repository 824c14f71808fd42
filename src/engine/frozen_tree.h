// A frozen process tree: root, children, and what they have made meanwhile.
#pragma once

#include <optional>
#include <vector>

#include "engine/freeze.h"
#include "procfs/reader.h"
#include "trace/thread_records.h"

namespace cryo {

struct TreeTask {
  Pid pid;
  procfs::ProcTask proc;
  std::optional<FrozenProcess> frozen;  // none: a zombie (or a tree that is not frozen)
};

// Every process below `root`, which comes first, and each before its children. Those that run come and go.
Result<std::vector<TreeTask>> list_tree(const procfs::ProcDir& dir, Pid root,
                                        ThreadRecorder& recorder);

// A process that ends while it is looked at is no error: what is there of it says whether it has.
bool has_ended(const procfs::ProcDir& dir, Pid pid);

class FrozenTree {
 public:
  // Every process is let go again if that fails.
  static Result<FrozenTree> freeze(Tracer& tracer, const procfs::ProcDir& dir, Pid root,
                                   ThreadRecorder& recorder);

  // The root first, and each before its children.
  const std::vector<TreeTask>& tasks() const { return tasks_; }

  Result<void> thaw() &&;           // goes on as before
  Result<void> leave_stopped() &&;  // detached, in a group stop
  // Returns when all are dead, and the root's parent may reap it.
  Result<void> kill() &&;

 private:
  friend class TreeFreezer;
  std::vector<TreeTask> tasks_;
};

}  // namespace cryo
