#include "engine/load.h"

#include <array>
#include <csignal>
#include <map>
#include <set>
#include <span>

#include "sys/helper_thread.h"

namespace cryo {
namespace {

constexpr uint32_t kMostPid = 1 << 22;
constexpr uint32_t kMostFd = 1 << 30;  // the kernel's own limit (sysctl_nr_open_max)

Result<void> check_node(const pb::pstree_entry& node) {
  if (node.pid() == 0 || node.pid() > kMostPid)
    return Error::bad_image(fmt::format("pstree: pid {}", node.pid()));
  if (node.threads_size() == 0)
    return Error::bad_image(fmt::format("pstree: {} has no threads", node.pid()));
  std::set<uint32_t> seen;
  for (const uint32_t tid : node.threads())
    if (tid == 0 || tid > kMostPid || !seen.insert(tid).second)
      return Error::bad_image(fmt::format("pstree: thread {} of {}", tid, node.pid()));
  if (!seen.contains(node.pid()))
    return Error::bad_image(fmt::format("pstree: {} is not among its threads", node.pid()));
  return {};
}

Result<ThreadImage> load_thread(const ImageReader& images, uint32_t tid, bool leader) {
  ThreadImage thread{Tid{static_cast<int32_t>(tid)}, {}, {}};
  thread.core = TRY(images.require<pb::core_entry>({ImageKind::core, tid}));
  if (!thread.core.has_thread_core())
    return Error::bad_image(fmt::format("core-{}.img: no thread_core", tid));
  if (leader != thread.core.has_tc())
    return Error::bad_image(
        fmt::format("core-{}.img: {}", tid, leader ? "no tc" : "a thread with a tc"));
  return thread;
}

Result<void> load_some(const ImageReader& images, uint32_t leader, std::span<ThreadImage> threads) {
  for (ThreadImage& thread : threads) {
    const auto tid = static_cast<uint32_t>(thread.tid.value);
    thread = TRY(load_thread(images, tid, tid == leader));
  }
  return {};
}

// The leader first. A file for each: many are read by two of us.
Result<std::vector<ThreadImage>> load_threads(const ImageReader& images,
                                              const pb::pstree_entry& node) {
  constexpr size_t kWorthTwo = 64;
  std::vector<ThreadImage> threads(1);
  threads.front().tid = Tid{static_cast<int32_t>(node.pid())};
  for (const uint32_t tid : node.threads())
    if (tid != node.pid()) threads.emplace_back().tid = Tid{static_cast<int32_t>(tid)};
  const size_t half = threads.size() >= kWorthTwo ? threads.size() / 2 : threads.size();
  const std::span<ThreadImage> all(threads);
  Result<void> first, second;
  if (half < threads.size()) {
    sys::HelperThread helper([&] { second = load_some(images, node.pid(), all.subspan(half)); });
    first = load_some(images, node.pid(), all.first(half));
  } else {
    first = load_some(images, node.pid(), all);
  }
  TRY(std::move(first));
  TRY(std::move(second));
  return threads;
}

// Of a process that has ended: what its parent will be told.
Result<void> check_end(const TaskImage& task) {
  constexpr std::array kNotDeadly{SIGCHLD, SIGCONT, SIGURG,  SIGWINCH,
                                  SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
  const auto signal = static_cast<int>(task.tc().exit_code() & 0x7f);
  if (signal > 64 || std::ranges::count(kNotDeadly, signal) != 0)
    return Error::bad_image(
        fmt::format("core-{}.img: nobody ends by signal {}", task.pid(), signal));
  return {};
}

// The threads of a process that has ended mean nothing, and it has no other images. Nothing if it has not.
Result<std::optional<TaskImage>> load_dead(const ImageReader& images,
                                           const pb::pstree_entry& node) {
  std::optional<TaskImage> task;
  if (node.pid() == 0 || node.pid() > kMostPid) return task;
  pb::core_entry core = TRY(images.require<pb::core_entry>({ImageKind::core, node.pid()}));
  if (core.tc().task_state() != kTaskDead) return task;
  task.emplace();
  task->node = node;
  task->threads.push_back({Tid{static_cast<int32_t>(node.pid())}, std::move(core), {}});
  TRY(check_end(*task));
  return task;
}

Result<TaskImage> load_task(const ImageReader& images, const pb::pstree_entry& node) {
  std::optional<TaskImage> dead = TRY(load_dead(images, node));
  if (dead) return std::move(*dead);
  TRY(check_node(node));
  TaskImage task;
  task.node = node;
  const uint32_t pid = node.pid();
  task.threads = TRY(load_threads(images, node));
  task.ids = TRY(images.require<pb::task_kobj_ids_entry>({ImageKind::ids, pid}));
  task.mm = TRY(images.require<pb::mm_entry>({ImageKind::mm, pid}));
  task.fs = TRY(images.require<pb::fs_entry>({ImageKind::fs, pid}));
  task.fds = TRY(images.records<pb::fdinfo_entry>({ImageKind::fdinfo, task.ids.files_id()}));
  for (const pb::fdinfo_entry& entry : task.fds)
    if (entry.fd() > kMostFd)
      return Error::bad_image(fmt::format("fdinfo: fd {} of {}", entry.fd(), pid));
  std::optional<pb::cryo_task_entry> extra =
      TRY(images.record<pb::cryo_task_entry>({ImageKind::cryo, pid}));
  if (!extra) return task;
  std::map<uint32_t, ThreadImage*> threads;
  for (ThreadImage& thread : task.threads)
    threads[static_cast<uint32_t>(thread.tid.value)] = &thread;
  for (pb::cryo_thread_entry& entry : *extra->mutable_threads())
    if (const auto thread = threads.find(entry.tid()); thread != threads.end())
      thread->second->extra = std::move(entry);
  extra->clear_threads();
  task.extra = std::move(*extra);
  return task;
}

// Beside what plan_family() sees: no number is there twice, and who has ended has no children.
Result<void> check_tree(const std::vector<TaskImage>& tasks) {
  std::set<Tid> tids;
  std::set<uint32_t> dead;
  if (tasks.front().dead()) return Error::bad_image("pstree: the first process has ended");
  for (const TaskImage& task : tasks) {
    for (const ThreadImage& thread : task.threads)
      if (!tids.insert(thread.tid).second)
        return Error::bad_image(fmt::format("pstree: {} is there twice", thread.tid));
    if (dead.contains(task.node.ppid()))
      return Error::bad_image(
          fmt::format("pstree: the parent {} of {} has ended", task.node.ppid(), task.pid()));
    if (task.dead()) dead.insert(task.node.pid());
  }
  return {};
}

}  // namespace

Result<Snapshot> load_snapshot(const ImageReader& images) {
  Snapshot snapshot;
  snapshot.inventory = TRY(images.inventory());
  const std::vector<pb::pstree_entry> nodes =
      TRY(images.records<pb::pstree_entry>({ImageKind::pstree}));
  if (nodes.empty()) return Error::bad_image("pstree.img has no process");
  for (const pb::pstree_entry& node : nodes) {
    TaskImage task = TRY_IN(load_task(images, node), "reading the images of {}", node.pid());
    snapshot.tasks.push_back(std::move(task));
  }
  TRY(check_tree(snapshot.tasks));
  std::optional<pb::seccomp_entry> seccomp =
      TRY(images.record<pb::seccomp_entry>({ImageKind::seccomp}));
  if (seccomp) snapshot.seccomp = std::move(*seccomp);
  const std::vector<pb::file_entry> files = TRY(images.records<pb::file_entry>({ImageKind::files}));
  for (const pb::file_entry& file : files)
    if (!snapshot.files.emplace(FileId{file.id()}, file).second)
      return Error::bad_image(fmt::format("files.img: two files with id {}", file.id()));
  return snapshot;
}

}  // namespace cryo
