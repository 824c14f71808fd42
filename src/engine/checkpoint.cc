#include "engine/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "base/clock.h"
#include "engine/cpu.h"
#include "engine/family.h"
#include "engine/frozen_tree.h"
#include "engine/ids.h"
#include "engine/target.h"
#include "engine/task_dump.h"
#include "image/store.h"
#include "kinds/files/table.h"
#include "procfs/reader.h"
#include "sys/death_timer.h"
#include "sys/process.h"

namespace cryo {
namespace {

// A dump that is silent for longer hangs, and must not hold the process any longer: seconds, and what the slowest
// of disks may write in one.
constexpr uint32_t kSilence = 60;
constexpr uint64_t kSlowest = 16 << 20;

Error blocked(Pid pid, const std::vector<Blocker>& blockers) {
  std::string text = fmt::format("process {} cannot be dumped:", pid);
  for (const Blocker& b : blockers) {
    text += fmt::format("\n  {}: {}{}{}", b.pid, b.where, b.where.empty() ? "" : ": ", b.what);
    if (!b.remedy.empty()) text += fmt::format(" ({})", b.remedy);
  }
  return Error::unsupported(std::move(text));
}

constexpr const char* kEnded = "it ended or executed another program while it was being dumped";

// What the reader can do about errors whose text alone does not say it.
Error advised(Error error, const procfs::ProcTask& proc) {
  if (error.kind() == ErrorKind::gone) return std::move(error).hint(kEnded);
  // Much of what /proc shows of a process that ends is just not there.
  const Result<procfs::TaskStat> stat = proc.stat();
  if (!stat || stat.value().zombie() || stat.value().exiting())
    return std::move(error).hint(kEnded);
  if (error.kind() == ErrorKind::denied) {
    const std::string tracer = who_traces(proc);
    if (!tracer.empty()) return std::move(error).hint(tracer);
    if (sys::geteuid() != 0)
      return std::move(error).hint(
          fmt::format("cryo runs as user {}: run it as root, or give it CAP_SYS_PTRACE, if the "
                      "process has rights that cryo has not",
                      sys::geteuid()));
  }
  if (error.code() == ENOSPC || error.code() == EDQUOT)
    return std::move(error).hint(
        "the images directory has no room for the process's memory; the process goes on");
  return error;
}

// What holds for one task need not for the others, and one that ends meanwhile is none.
Result<void> look_at(Capture& capture, const procfs::ProcDir& dir, const TreeTask& task,
                     Recorders& recorders) {
  TRY(examine_target(dir, task.pid, task.proc, capture.blockers));
  if (!capture.blockers.empty()) return {};  // most have nothing more to look at
  const TaskView view = TRY(view_task(capture, task.pid, task.proc, recorders, Look::before));
  return examine_task(view);
}

// The sessions and groups of the tree can be made again.
Result<void> look_at_family(Capture& capture, const std::vector<TreeTask>& tasks) {
  std::vector<pb::pstree_entry> nodes;
  for (const TreeTask& task : tasks) {
    const procfs::TaskStat stat = TRY(task.proc.stat());
    pb::pstree_entry& node = nodes.emplace_back();
    node.set_pid(static_cast<uint32_t>(stat.pid));
    node.set_ppid(nodes.size() == 1 ? 0 : static_cast<uint32_t>(stat.ppid));
    node.set_pgid(static_cast<uint32_t>(stat.pgrp));
    node.set_sid(static_cast<uint32_t>(stat.session));
  }
  Result<Family> family = plan_family(nodes);
  if (!family) capture.blockers.push_back({capture.options.tree, "", family.error().message(), ""});
  return {};
}

bool is_zombie(const TreeTask& task) {
  const Result<procfs::TaskStat> stat = task.proc.stat();
  const Result<std::vector<Tid>> threads = task.proc.threads();
  return stat && stat.value().zombie() && threads && threads.value().size() <= 1;
}

Result<void> look_once(Capture& capture, const procfs::ProcDir& dir, Recorders& recorders) {
  const std::vector<TreeTask> tasks = TRY(list_tree(dir, capture.options.tree, recorders.threads));
  std::vector<Blocker> all;
  for (const TreeTask& task : tasks) {
    const bool is_root = task.pid == capture.options.tree;
    if (!is_root && is_zombie(task)) continue;
    Result<void> looked = look_at(capture, dir, task, recorders);
    const bool ended = !is_root && has_ended(dir, task.pid);
    if (!ended) std::ranges::move(capture.blockers, std::back_inserter(all));
    capture.blockers.clear();
    if (!looked && !ended) {
      capture.blockers = std::move(all);
      return looked;
    }
  }
  capture.blockers = std::move(all);
  if (capture.blockers.empty()) (void)look_at_family(capture, tasks);
  return {};
}

bool is_among(const Blocker& blocker, const std::vector<Blocker>& all) {
  return std::ranges::any_of(all, [&](const Blocker& other) {
    return other.pid == blocker.pid && other.where == blocker.where && other.what == blocker.what;
  });
}

// The look before the freeze: what is blocked anyway should not be stopped at all. The tasks open and close files
// meanwhile, so that one look may see half of one and half of another: what counts is what two looks agree on.
Result<void> look(Capture& capture, const procfs::ProcDir& dir, Recorders& recorders) {
  const Result<void> first = look_once(capture, dir, recorders);
  if (first && capture.blockers.empty()) return {};
  const std::vector<Blocker> before = std::exchange(capture.blockers, {});
  TRY(look_once(capture, dir, recorders));
  if (first)
    std::erase_if(capture.blockers, [&](const Blocker& b) { return !is_among(b, before); });
  return {};
}

Result<void> write_snapshot(ImageWriter& images, const Snapshot& snapshot) {
  TRY(images.append({ImageKind::inventory}, snapshot.inventory));
  TRY(images.append({ImageKind::seccomp}, snapshot.seccomp));
  for (const TaskImage& task : snapshot.tasks) TRY(write_task(images, task));
  for (const auto& [id, file] : snapshot.files) TRY(images.append({ImageKind::files}, file));
  return {};
}

Result<void> let_go(FrozenTree frozen, FinalState state) {
  if (state == FinalState::killed) return std::move(frozen).kill();
  if (state == FinalState::stopped) return std::move(frozen).leave_stopped();
  return std::move(frozen).thaw();
}

Result<FrozenTree> freeze(const DumpOptions& options, const procfs::ProcDir& dir,
                          const procfs::ProcTask& proc, Tracer& tracer, ThreadRecorder& recorder) {
  if (options.timeout_s != 0)
    tracer.set_deadline((now_us() + options.timeout_s * uint64_t{1'000'000}) * 1000);
  Result<FrozenTree> frozen = FrozenTree::freeze(tracer, dir, options.tree, recorder);
  if (!frozen) return advised(std::move(frozen).error().during("freezing the process"), proc);
  tracer.set_deadline(0);
  tracer.set_interruptible(false);
  return frozen;
}

Result<void> capture_one(Capture& capture, const TreeTask& task, Recorders& recorders,
                         ObjectIds& objects, Snapshot& snapshot) {
  if (!task.frozen) {
    snapshot.tasks.push_back(TRY(capture_zombie(capture, task.pid, task.proc)));
    return {};
  }
  Result<TaskImage> image = capture_task(capture, task.pid, task.proc, *task.frozen, recorders,
                                         objects, snapshot.inventory);
  if (!image) return std::move(image).error();
  capture.report.threads += static_cast<uint32_t>(image->threads.size());
  snapshot.tasks.push_back(std::move(*image));
  return {};
}

// From the freeze to complete images.
Result<void> capture_frozen(Capture& capture, const procfs::ProcDir& dir, const FrozenTree& frozen,
                            Recorders& recorders, Snapshot& snapshot) {
  const Pid root = capture.options.tree;
  TRY(fill_inventory(snapshot.inventory));
  for (const TreeTask& task : frozen.tasks())
    if (task.frozen || !is_zombie(task))
      TRY(examine_target(dir, task.pid, task.proc, capture.blockers));
  if (capture.blockers.empty()) TRY(look_at_family(capture, frozen.tasks()));
  if (!capture.blockers.empty()) return blocked(root, capture.blockers);
  ObjectIds objects;
  for (const TreeTask& task : frozen.tasks()) {
    Result<void> captured = capture_one(capture, task, recorders, objects, snapshot);
    if (!capture.blockers.empty()) return blocked(root, capture.blockers);
    TRY(std::move(captured));
    TRY(capture.keep_going());
  }
  for (const std::function<void()>& step : capture.finally) step();
  capture.report.tasks = static_cast<uint32_t>(snapshot.tasks.size());
  return record_cpu(capture.images, capture.options.cpu_cap);
}

}  // namespace

Result<DumpReport> checkpoint(const DumpOptions& options, Job& job) {
  const uint64_t begin = now_us();
  DumpReport report;
  report.root = options.tree;
  std::vector<Blocker> blockers;
  Snapshot snapshot;
  ImageWriter images = TRY(ImageWriter::open(job.images, ImageWriter::Mode::checkpoint));
  CapturedFiles files(snapshot);
  Capture capture{options, job.log, images,   files,        report,
                  1,       1,       blockers, job.progress, snapshot.seccomp};

  Recorders recorders;
  const procfs::ProcDir proc_dir = TRY(procfs::ProcDir::open());
  const procfs::ProcTask proc = TRY(open_target(proc_dir, options.tree));
  Result<void> looked = look(capture, proc_dir, recorders);
  if (!looked) return advised(std::move(looked).error(), proc);
  if (!blockers.empty()) return blocked(options.tree, blockers);
  TRY(job.notify(Action::pre_dump, options.tree));

  Tracer tracer = TRY(Tracer::create(0));
  const procfs::TaskStatus status = TRY(proc.status());
  const auto writing = static_cast<uint32_t>(status.vm_rss / kSlowest);
  const sys::DeathTimer life = TRY(sys::DeathTimer::arm(kSilence + options.timeout_s + writing));
  if (options.timeout_s == 0) life.pause();
  const uint64_t freezing = now_us();
  FrozenTree frozen = TRY(freeze(options, proc_dir, proc, tracer, recorders.threads));
  life.feed();
  const uint64_t frozen_at = now_us();
  report.freezing_us = frozen_at - freezing;
  capture.progress = [&](const Progress& progress) {
    life.feed();
    job.progress(progress);
  };
  capture.keep_going = [&] {
    life.feed();
    return tracer.check_interrupted();
  };
  const auto finish_tasks = [&]() -> Result<void> {
    const uint64_t letting_go = now_us();
    TRY(let_go(std::move(frozen), options.final_state));
    // A killed process does not wait for its memory to be given back.
    const bool killed = options.final_state == FinalState::killed;
    report.frozen_us = (killed ? letting_go : now_us()) - frozen_at;
    return {};
  };
  // What is left to write does not need the tasks; but a post-dump script does need them to be still.
  const bool early = options.final_state == FinalState::running && options.action_scripts.empty();
  Result<void> captured = capture_frozen(capture, proc_dir, frozen, recorders, snapshot);
  if (captured && early) captured = finish_tasks();
  if (captured) captured = write_snapshot(images, snapshot);
  if (captured) captured = std::move(images).commit();
  if (!captured) return advised(std::move(captured).error(), proc);

  life.pause();  // scripts take their time
  TRY(job.notify(Action::post_dump, options.tree));
  TRY(tracer.check_interrupted());
  if (options.final_state != FinalState::running) {
    capture.undo.keep();
  } else if (!capture.undo.empty()) {
    job.log.warn(
        "the process goes on, so the names made by --link-remap are removed again: these images "
        "cannot be restored later");
  }
  if (!early) TRY(finish_tasks());
  report.total_us = now_us() - begin;
  return report;
}

Result<std::vector<Blocker>> explain_checkpoint(const DumpOptions& options, Job& job) {
  DumpReport report;
  std::vector<Blocker> blockers;
  Snapshot snapshot;
  ImageWriter images = ImageWriter::nowhere();
  CapturedFiles files(snapshot);
  Capture capture{options, job.log, images,   files,        report,
                  1,       1,       blockers, job.progress, snapshot.seccomp};
  Recorders recorders;
  const procfs::ProcDir proc_dir = TRY(procfs::ProcDir::open());
  const procfs::ProcTask proc = TRY(open_target(proc_dir, options.tree));
  TRY(look(capture, proc_dir, recorders));
  return blockers;
}

}  // namespace cryo
