#include "engine/restore.h"

#include "base/clock.h"
#include "engine/cpu.h"
#include "engine/load.h"
#include "engine/staged_tree.h"
#include "fdinfo.pb.h"
#include "image/pagemap.h"
#include "kinds/registry.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/rseq.h"

namespace cryo {
namespace {

// Directories of images that pages may be in: ours and its parents.
Result<size_t> count_directories(const ImageReader& images) {
  std::optional<ImageReader> parent = TRY(images.parent());
  size_t count = 1;
  for (; parent && count <= kMaxParents; ++count) {
    std::optional<ImageReader> above = TRY(parent->parent());
    parent = std::move(above);
  }
  return count;
}

// From here on no number is in use here; with room below for the descriptors that making files needs for a moment, and
// for the pages files that each task keeps open from its planning on.
Result<int> first_staged_number(const ImageReader& images, size_t tasks) {
  constexpr size_t kForAMoment = 64;
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  const std::vector<FdNo> ours = TRY(self.fds());
  const size_t kept = tasks * TRY(count_directories(images));
  const size_t first =
      kForAMoment + kept + (ours.empty() ? 0 : static_cast<size_t>(ours.back().value));
  return static_cast<int>(std::min<size_t>(first, INT32_MAX / 2));
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

// Everything that is known before the first process is made.
class Prepared {
 public:
  static Result<std::unique_ptr<Prepared>> load(const Job& job) {
    ImageReader images = TRY(open_images(job));
    Snapshot snapshot = TRY(load_snapshot(images));
    return std::unique_ptr<Prepared>(new Prepared(std::move(images), std::move(snapshot)));
  }

  Result<void> plan(const RestoreOptions& options, Job& job, FdRef root) {
    std::vector<pb::pstree_entry> nodes;
    for (const TaskImage& image : snapshot.tasks) nodes.push_back(image.node);
    family = TRY(plan_family(nodes));
    taken = TRY(taken_ranges(snapshot));
    std::vector<SpecialMapping> special = TRY(plan_parking(taken));
    const int first = TRY(first_staged_number(images, snapshot.tasks.size()));
    files.emplace(first, fd_tables(snapshot));
    context.emplace(Restore{options, job.log, images, snapshot, report, *files, std::move(special),
                            root, job.progress});
    for (const TaskImage& image : snapshot.tasks) {
      TaskPlan& plan = plans.emplace_back(image.threads.size());
      if (image.dead()) continue;
      TaskRestore task{*context, image, plan};
      TRY(compile(task));
      report.threads += static_cast<uint32_t>(image.threads.size());
    }
    report.root = snapshot.tasks.front().pid();
    report.tasks = static_cast<uint32_t>(snapshot.tasks.size());
    return {};
  }

  const ImageReader images;
  const Snapshot snapshot;
  RestoreReport report;
  Family family;
  std::vector<AddressRange> taken;
  std::optional<StagedFiles> files;
  std::optional<Restore> context;
  std::vector<TaskPlan> plans;  // by task; empty for those that have ended

 private:
  Prepared(ImageReader&& reader, Snapshot&& loaded)
      : images(std::move(reader)), snapshot(std::move(loaded)) {}

  static std::vector<std::span<const pb::fdinfo_entry>> fd_tables(const Snapshot& snapshot) {
    std::vector<std::span<const pb::fdinfo_entry>> tables;
    for (const TaskImage& image : snapshot.tasks) tables.emplace_back(image.fds);
    return tables;
  }
};

}  // namespace

Result<RestoreReport> restore(const RestoreOptions& options, Job& job) {
  const uint64_t begin = now_us();
  const Fd root = TRY(sys::open(options.root.empty() ? "/" : options.root.c_str(),
                                O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::unique_ptr<Prepared> prepared = TRY(Prepared::load(job));
  TRY(compare_cpu(prepared->images, options.cpu_cap));
  TRY(prepared->plan(options, job, root));
  RestoreReport& report = prepared->report;

  TRY(job.notify(Action::pre_restore, Pid{0}));
  TRY(make_room_for_fds(*prepared->files));
  // From here on, a signal that asks us to end is seen between the steps.
  Tracer tracer = TRY(Tracer::create(0));
  std::vector<Fd> staged = TRY(open_staged(*prepared->context));
  TRY(tracer.check_interrupted());
  TRY(sys::unregister_own_rseq());
  const std::unique_ptr<StagedTree> tree = TRY(StagedTree::raise(
      *prepared->context, prepared->family, prepared->plans, prepared->taken, tracer));
  report.forking_us = now_us() - begin;
  for (size_t phase = 0; phase < kPhases; ++phase) {
    TRY(tree->perform(static_cast<Phase>(phase)));
    TRY(tracer.check_interrupted());
  }
  // The tasks have all of them; an end of a pipe must not stay open here.
  staged.clear();
  prepared->context->shelf.clear();
  for (const std::function<Result<void>()>& step : prepared->context->finally) TRY(step());
  TRY(job.root_created(tree->root()));
  TRY(job.notify(Action::post_restore, tree->root()));
  TRY(job.notify(Action::pre_resume, tree->root()));
  TRY(tracer.check_interrupted());  // the last moment at which nothing has happened yet
  TRY(tree->let_go(options.leave_stopped));
  TRY(job.notify(Action::post_resume, tree->root()));
  report.restore_us = now_us() - begin;
  const RestoreReport result = report;
  // We end next: somebody waits for that, and to free the images of a thousand threads takes half as long as to read
  // them.
  if (options.detached && options.exec_cmd.empty()) (void)prepared.release();
  return result;
}

Result<std::string> explain_restore(const RestoreOptions& options, Job& job) {
  const std::unique_ptr<Prepared> prepared = TRY(Prepared::load(job));
  TRY(prepared->plan(options, job, FdRef(-1)));
  std::string text = fmt::format("processes:\n{}", prepared->family.describe());
  for (size_t i = 0; i < prepared->plans.size(); ++i) {
    if (prepared->plans.size() > 1)
      text += fmt::format("\nprocess {}:\n", prepared->snapshot.tasks[i].pid());
    text += prepared->plans[i].describe();
  }
  return text;
}

}  // namespace cryo
