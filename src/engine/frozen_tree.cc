#include "engine/frozen_tree.h"

#include <sys/ptrace.h>

#include <set>

#include "engine/target.h"

namespace cryo {
namespace {

// Nothing when there is no such process any more.
Result<std::optional<TreeTask>> open_task(const procfs::ProcDir& dir, Pid pid) {
  Result<procfs::ProcTask> proc = dir.task(pid);
  if (!proc && proc.error().kind() == ErrorKind::gone) return std::optional<TreeTask>();
  if (!proc) return std::move(proc).error();
  return std::optional<TreeTask>(TreeTask{pid, std::move(*proc), std::nullopt});
}

Result<std::vector<Pid>> look_for_children(const TreeTask& task, ThreadRecorder& recorder) {
  const procfs::TaskStat stat = TRY(task.proc.stat());
  return children_of(task.pid, task.proc, static_cast<size_t>(stat.threads), recorder);
}

}  // namespace

bool has_ended(const procfs::ProcDir& dir, Pid pid) {
  const Result<procfs::ProcTask> task = dir.task(pid);
  if (!task) return true;
  const Result<procfs::TaskStat> stat = task.value().stat();
  return !stat || stat.value().zombie() || stat.value().exiting();
}

Result<std::vector<TreeTask>> list_tree(const procfs::ProcDir& dir, Pid root,
                                        ThreadRecorder& recorder) {
  std::vector<TreeTask> tasks;
  std::vector<Pid> found{root};
  std::set<Pid> known{root};
  for (size_t next = 0; next < found.size(); ++next) {
    std::optional<TreeTask> task = TRY(open_task(dir, found[next]));
    if (!task) continue;
    Result<std::vector<Pid>> children = look_for_children(*task, recorder);
    if (!children && !has_ended(dir, task->pid)) return std::move(children).error();
    tasks.push_back(std::move(*task));
    if (!children) continue;
    for (const Pid child : *children)
      if (known.insert(child).second) found.push_back(child);
  }
  return tasks;
}

// From the root down: a process whose threads have all stopped has no more children than it has then. But it may be
// given those of others that end.
class TreeFreezer {
 public:
  TreeFreezer(Tracer& tracer, const procfs::ProcDir& dir, ThreadRecorder& recorder)
      : tracer_(&tracer), dir_(&dir), recorder_(&recorder) {}

  Result<FrozenTree> freeze(Pid root) {
    known_.insert(root);
    TRY(add(root));
    for (bool more = true; more;) {
      more = false;
      // What is added on the way is looked at on the way.
      for (size_t i = 0; i < tree_.tasks_.size(); ++i) {
        const bool news = TRY(add_children(i));
        more |= news;
      }
    }
    return std::move(tree_);
  }

 private:
  Result<void> add(Pid pid) {
    std::optional<TreeTask> task = TRY(open_task(*dir_, pid));
    if (!task) return {};
    Result<std::vector<Stopped>> stopped =
        tracer_->freeze(pid, task->proc.dir(), PTRACE_O_TRACESYSGOOD);
    if (stopped)
      task->frozen.emplace(*tracer_, pid, std::move(*stopped));
    else if (tree_.tasks_.empty() || !has_ended(*dir_, pid))
      return std::move(stopped).error();
    else if (!dir_->task(pid))
      return {};
    tree_.tasks_.push_back(std::move(*task));
    return {};
  }

  Result<bool> add_children(size_t parent) {
    const TreeTask& task = tree_.tasks_[parent];
    if (!task.frozen) return false;
    const std::vector<Pid> children =
        TRY(children_of(task.pid, task.proc, task.frozen->threads().size(), *recorder_));
    bool news = false;
    for (const Pid child : children) {
      if (!known_.insert(child).second) continue;
      TRY(add(child));
      news = true;
    }
    return news;
  }

  Tracer* tracer_;
  const procfs::ProcDir* dir_;
  ThreadRecorder* recorder_;
  std::set<Pid> known_;
  FrozenTree tree_;
};

Result<FrozenTree> FrozenTree::freeze(Tracer& tracer, const procfs::ProcDir& dir, Pid root,
                                      ThreadRecorder& recorder) {
  return TreeFreezer(tracer, dir, recorder).freeze(root);
}

Result<void> FrozenTree::thaw() && {
  for (TreeTask& task : tasks_)
    if (task.frozen) TRY(std::move(*task.frozen).thaw());
  return {};
}

Result<void> FrozenTree::leave_stopped() && {
  for (TreeTask& task : tasks_)
    if (task.frozen) TRY(std::move(*task.frozen).leave_stopped());
  return {};
}

Result<void> FrozenTree::kill() && {
  for (const TreeTask& task : tasks_)
    if (task.frozen) TRY(task.frozen->kill_begin());
  for (size_t i = tasks_.size(); i-- > 0;)
    if (tasks_[i].frozen) TRY(std::move(*tasks_[i].frozen).kill());
  return {};
}

}  // namespace cryo
