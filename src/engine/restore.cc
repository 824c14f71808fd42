#include "engine/restore.h"

#include "base/clock.h"
#include "engine/cpu.h"
#include "engine/load.h"
#include "engine/stage.h"
#include "fdinfo.pb.h"
#include "kinds/registry.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/rseq.h"

namespace cryo {
namespace {

// From here on no number is in use here; with room below for the descriptors that making files needs for a moment.
Result<int> first_staged_number() {
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  const std::vector<FdNo> ours = TRY(self.fds());
  return 64 + (ours.empty() ? 0 : ours.back().value);
}

// Everything that is staged, and all the task's own, must fit below the limit; what is open until all files are there
// should. The task inherits it, and gets its own limit later.
Result<void> make_room_for_fds(const StagedFiles& files) {
  const uint64_t needed = files.end();
  const uint64_t comfortable = needed + 2 * files.wanted().size() + 256;
  struct rlimit64 limit = TRY(sys::get_rlimit(sys::getpid(), RLIMIT_NOFILE));
  if (limit.rlim_cur >= comfortable) return {};
  limit.rlim_max = std::max<uint64_t>(limit.rlim_max, needed);
  limit.rlim_cur = std::min<uint64_t>(limit.rlim_max, comfortable);
  Result<void> raised = sys::set_rlimit(sys::getpid(), RLIMIT_NOFILE, limit);
  if (raised) return raised;
  return std::move(raised).error().hint(
      fmt::format("the process has descriptors up to {}: allow as many (ulimit -n, "
                  "fs.nr_open), or give cryo CAP_SYS_RESOURCE",
                  needed - 1));
}

Result<Fd> make_staged(Restore& restore, const StagedFiles::Wanted& wanted) {
  if (!wanted.id) return wanted.make();
  const auto found = restore.snapshot.files.find(*wanted.id);
  if (found == restore.snapshot.files.end())
    return Error::bad_image(fmt::format("files.img has no file {}", *wanted.id));
  const FileKind* kind = file_kind_of(found->second.type());
  if (kind == nullptr)
    return Error::unsupported(fmt::format("file {} is of type {}, which cannot be restored yet",
                                          *wanted.id, static_cast<int>(found->second.type())));
  const FileRestore file{restore, *wanted.id, wanted.open_flags};
  return kind->restore(file, found->second);
}

// Every number is reserved before the first file is made: what making files leaves open for a while takes the lowest
// number that is free.
Result<std::vector<Fd>> open_staged(Restore& restore) {
  std::vector<Fd> all;
  all.reserve(restore.files.wanted().size());
  for (const StagedFiles::Wanted& wanted : restore.files.wanted())
    all.push_back(TRY(sys::dup3(restore.root, wanted.number, O_CLOEXEC)));
  for (const StagedFiles::Wanted& wanted : restore.files.wanted()) {
    const Fd fd = TRY_IN(make_staged(restore, wanted), "making {}", wanted.what);
    // The same number, of which `all` goes on to be the owner.
    Fd placed = TRY(sys::dup3(fd, wanted.number, wanted.cloexec ? O_CLOEXEC : 0));
    (void)placed.release();
  }
  return all;
}

Result<ImageReader> open_images(const Job& job) {
  Fd dir = TRY(sys::openat(job.images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return ImageReader::open(std::move(dir));
}

Result<void> compile(TaskRestore& task) {
  for (const TaskKind* kind : task_kinds())
    if (kind->compile != nullptr)
      TRY_IN(kind->compile(task), "planning the {} of {}", kind->name, task.image.pid());
  task.plan.join_waits();
  return {};
}

}  // namespace

Result<RestoreReport> restore(const RestoreOptions& options, Job& job) {
  const uint64_t begin = now_us();
  RestoreReport report;
  const ImageReader images = TRY(open_images(job));
  Snapshot loaded = TRY(load_snapshot(images));
  std::unique_ptr<const Snapshot> held = std::make_unique<const Snapshot>(std::move(loaded));
  const Snapshot& snapshot = *held;
  TRY(compare_cpu(images, options.cpu_cap));
  if (snapshot.tasks.size() != 1)
    return Error::unsupported("trees of several processes cannot be restored yet");
  const TaskImage& image = snapshot.tasks.front();
  const int first = TRY(first_staged_number());
  StagedFiles files(first, image.fds);
  const Fd root = TRY(sys::open(options.root.empty() ? "/" : options.root.c_str(),
                                O_PATH | O_DIRECTORY | O_CLOEXEC));
  const std::vector<AddressRange> taken = TRY(taken_ranges(image));
  std::vector<SpecialMapping> special = TRY(plan_parking(taken));
  Restore context{options, job.log,     images, snapshot, report, files, std::move(special),
                  root,    job.progress};
  TaskPlan plan(image.threads.size());
  TaskRestore task{context, image, plan};
  TRY(compile(task));

  TRY(job.notify(Action::pre_restore, Pid{0}));
  TRY(make_room_for_fds(files));
  // From here on, a signal that asks us to end is seen between the steps.
  Tracer tracer = TRY(Tracer::create(0));
  std::vector<Fd> staged = TRY(open_staged(context));
  TRY(tracer.check_interrupted());
  TRY(sys::unregister_own_rseq());
  const std::unique_ptr<Stage> stage = TRY(Stage::raise(context, image, plan, tracer));
  report.forking_us = now_us() - begin;
  report.root = stage->pid();
  report.tasks = 1;
  report.threads = static_cast<uint32_t>(image.threads.size());
  for (size_t phase = 0; phase < kPhases; ++phase) {
    TRY(stage->perform(static_cast<Phase>(phase)));
    TRY(tracer.check_interrupted());
  }
  // The task has all of them; an end of a pipe must not stay open here.
  staged.clear();
  context.shelf.clear();
  for (const std::function<Result<void>()>& step : context.finally) TRY(step());
  TRY(job.root_created(stage->pid()));
  TRY(job.notify(Action::post_restore, stage->pid()));
  TRY(job.notify(Action::pre_resume, stage->pid()));
  TRY(tracer.check_interrupted());  // the last moment at which nothing has happened yet
  TRY(stage->let_go(options.leave_stopped || image.tc().task_state() == 3));
  TRY(job.notify(Action::post_resume, stage->pid()));
  report.restore_us = now_us() - begin;
  // We end next: somebody waits for that, and to free the images of a thousand threads takes half as long as to read
  // them.
  if (options.detached && options.exec_cmd.empty()) (void)held.release();
  return report;
}

Result<std::string> explain_restore(const RestoreOptions& options, Job& job) {
  RestoreReport report;
  const ImageReader images = TRY(open_images(job));
  const Snapshot snapshot = TRY(load_snapshot(images));
  if (snapshot.tasks.size() != 1)
    return Error::unsupported("trees of several processes cannot be restored yet");
  const TaskImage& image = snapshot.tasks.front();
  const int first = TRY(first_staged_number());
  StagedFiles files(first, image.fds);
  const std::vector<AddressRange> taken = TRY(taken_ranges(image));
  std::vector<SpecialMapping> special = TRY(plan_parking(taken));
  Restore context{options,   job.log,     images, snapshot, report, files, std::move(special),
                  FdRef(-1), job.progress};
  TaskPlan plan(image.threads.size());
  TaskRestore task{context, image, plan};
  TRY(compile(task));
  return plan.describe();
}

}  // namespace cryo
