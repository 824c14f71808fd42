#include "engine/checkpoint.h"

#include <sys/ptrace.h>

#include <ctime>

#include "engine/freeze.h"
#include "engine/ids.h"
#include "engine/task_dump.h"
#include "image/store.h"
#include "kinds/files/table.h"
#include "procfs/reader.h"

namespace cryo {
namespace {

uint64_t now_us() {
  timespec now{};
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000U + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

Error blocked(Pid pid, const std::vector<Blocker>& blockers) {
  std::string text = fmt::format("process {} cannot be dumped:", pid);
  for (const Blocker& b : blockers) {
    text += fmt::format("\n  {}{}{} {}", b.pid, b.where.empty() ? "" : " ", b.where, b.what);
    if (!b.remedy.empty()) text += fmt::format(" ({})", b.remedy);
  }
  return Error::unsupported(std::move(text));
}

Result<void> write_snapshot(ImageWriter& images, const Snapshot& snapshot) {
  TRY(images.append({ImageKind::inventory}, snapshot.inventory));
  for (const TaskImage& task : snapshot.tasks) TRY(write_task(images, task));
  for (const auto& [id, file] : snapshot.files) TRY(images.append({ImageKind::files}, file));
  return {};
}

Result<void> let_go(FrozenProcess frozen, FinalState state) {
  if (state == FinalState::killed) return std::move(frozen).kill();
  if (state == FinalState::stopped) return std::move(frozen).leave_stopped();
  return std::move(frozen).thaw();
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
  Capture capture{options, job.log, images, files, report, 1, 1, blockers, job.progress};

  const procfs::ProcDir proc_dir = TRY(procfs::ProcDir::open());
  const procfs::ProcTask proc = TRY(proc_dir.task(options.tree));
  {  // the look before the freeze: what is blocked anyway should not be stopped at all
    const TaskView view = TRY(view_task(capture, options.tree, proc));
    TRY(examine_task(view));
    if (!blockers.empty()) return blocked(options.tree, blockers);
  }
  TRY(job.notify(Action::pre_dump, options.tree));

  const uint64_t deadline =
      options.timeout_s == 0 ? 0 : (now_us() + options.timeout_s * 1'000'000U) * 1000;
  Tracer tracer = TRY(Tracer::create(deadline));
  const uint64_t freezing = now_us();
  std::vector<Stopped> stopped =
      TRY(tracer.freeze(options.tree, proc.dir(), PTRACE_O_TRACESYSGOOD));
  FrozenProcess frozen(tracer, options.tree, std::move(stopped));
  const uint64_t frozen_at = now_us();
  report.freezing_us = frozen_at - freezing;
  tracer.set_deadline(0);

  TRY(fill_inventory(snapshot.inventory));
  Result<TaskImage> image = capture_task(capture, options.tree, proc, frozen, snapshot.inventory);
  if (!blockers.empty()) return blocked(options.tree, blockers);
  if (!image) return std::move(image).error();
  snapshot.tasks.push_back(std::move(*image));
  report.tasks = 1;
  report.threads = static_cast<uint32_t>(snapshot.tasks.front().threads.size());

  TRY(write_snapshot(images, snapshot));
  TRY(std::move(images).commit());
  TRY(job.notify(Action::post_dump, options.tree));
  if (options.final_state != FinalState::running) {
    capture.undo.keep();
  } else if (!capture.undo.empty()) {
    job.log.warn(
        "the process goes on, so the names made by --link-remap are removed again: these images "
        "cannot be restored later");
  }
  TRY(let_go(std::move(frozen), options.final_state));
  report.frozen_us = now_us() - frozen_at;
  report.total_us = now_us() - begin;
  return report;
}

Result<std::vector<Blocker>> explain_checkpoint(const DumpOptions& options, Job& job) {
  DumpReport report;
  std::vector<Blocker> blockers;
  Snapshot snapshot;
  ImageWriter images = TRY(ImageWriter::open(job.images, ImageWriter::Mode::checkpoint));
  CapturedFiles files(snapshot);
  Capture capture{options, job.log, images, files, report, 1, 1, blockers, job.progress};
  const procfs::ProcDir proc_dir = TRY(procfs::ProcDir::open());
  const procfs::ProcTask proc = TRY(proc_dir.task(options.tree));
  const TaskView view = TRY(view_task(capture, options.tree, proc));
  TRY(examine_task(view));
  return blockers;
}

}  // namespace cryo
