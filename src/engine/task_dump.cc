#include "engine/task_dump.h"

#include <sys/mman.h>
#include <cerrno>

#include "arch/core_image.h"
#include "base/clock.h"
#include "engine/ids.h"
#include "engine/threads_dump.h"
#include "kinds/registry.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

Result<void> capture_kinds(TaskCapture& task) {
  for (const TaskKind* kind : task_kinds()) {
    if (kind->capture != nullptr)
      TRY_IN(kind->capture(task), "capturing the {} of {}", kind->name, task.pid);
    if (kind->capture_thread == nullptr) continue;
    for (size_t i = 0; i < task.threads.size(); ++i) {
      ThreadCapture thread{task, i};
      TRY_IN(kind->capture_thread(thread), "capturing the {} of thread {}", kind->name,
             thread.tid());
    }
  }
  return {};
}

// One batch for all kinds.
Result<void> ask_leader(TaskCapture& task, SyscallRunner& leader) {
  Batch batch;
  std::vector<Answer> answers;
  for (const TaskKind* kind : task_kinds()) {
    if (kind->ask != nullptr) {
      Answer answer =
          TRY_IN(kind->ask(task, batch), "asking for the {} of {}", kind->name, task.pid);
      answers.push_back(std::move(answer));
    }
    if (kind->ask_thread == nullptr) continue;
    ThreadCapture thread{task, 0};
    Answer answer = TRY_IN(kind->ask_thread(thread, batch), "asking for the {} of thread {}",
                           kind->name, thread.tid());
    answers.push_back(std::move(answer));
  }
  const Outcome outcome = TRY(leader.run_all(batch));
  for (const Answer& answer : answers) TRY(answer(outcome));
  return {};
}

// A thread that still is where a killed dump had put it. It needs a moment to get out.
Result<void> check_nobody_is_inside(const TaskCapture& task, const InjectionSite& site) {
  for (const FrozenThread& thread : task.threads)
    if (site.tail.contains(thread.state.general.ip()))
      return Error::os(EAGAIN,
                       fmt::format("thread {} is just recovering from a dump that was killed",
                                   thread.task.tid()))
          .hint("try again");
  return {};
}

Result<InjectionSite> find_site(const TaskCapture& task) {
  std::vector<AddressRange> mapped, executable;
  AddressRange vdso{0, 0};
  for (const procfs::Vma& vma : task.vmas) {
    if (vma.name == "[vsyscall]") continue;
    mapped.push_back({vma.start, vma.end});
    if (vma.name == "[vdso]") vdso = {vma.start, vma.end};
    const bool code = vma.prot == (PROT_READ | PROT_EXEC) && !vma.shared && vma.inode != 0;
    if (code && !vma.has(procfs::VmFlag::ht)) executable.push_back({vma.start, vma.end});
  }
  if (vdso.end == 0)
    return InjectionSite::find_in_files(mapped, executable, task.mem, Injection::area_size());
  return InjectionSite::find(mapped, vdso, task.mem, Injection::area_size());
}

Result<void> capture_injected(TaskCapture& task, CoordinatorLife& life) {
  const InjectionSite site = TRY(find_site(task));
  TRY(check_nobody_is_inside(task, site));
  Injection injection =
      TRY(Injection::inject(task.threads.front(), site, task.proc.dir(), task.mem, life));
  TRY(ask_leader(task, injection.leader()));
  TRY(ask_threads(task, injection));
  const uint64_t draining = now_us();
  for (const TaskKind* kind : task_kinds())
    if (kind->drain != nullptr)
      TRY_IN(kind->drain(task, injection), "copying the {} of {}", kind->name, task.pid);
  task.capture.report.memdump_us += now_us() - draining;
  return std::move(injection).cure();
}

}  // namespace

namespace {

// The look before the freeze is a courtesy, all is looked at again behind it: so many mappings are enough.
constexpr size_t kMappingsBefore = 1000;
constexpr size_t kSamples = 300;

// smaps, or where there are many mappings what serves as well. Samples are taken while the task runs.
Result<std::vector<procfs::Vma>> view_mappings(const TaskView& view, Recorders& recorders,
                                               Look look) {
  const procfs::ProcTask& proc = view.proc;
  if (look == Look::frozen) {
    if (!recorders.mappings.has_learnt()) return proc.smaps();
    Result<std::vector<procfs::Vma>> vmas = recorders.mappings.read(proc, view.pid);
    if (!vmas) view.capture.log.debug("Reading smaps: {}", vmas.error().message());
    return vmas ? std::move(vmas) : proc.smaps();
  }
  std::vector<procfs::Vma> vmas = TRY(proc.smaps(kMappingsBefore));
  if (vmas.size() < kMappingsBefore) return vmas;
  const procfs::ProcDir dir = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(dir.self());
  Result<void> learnt = recorders.mappings.learn(self, sys::getpid(), kSamples);
  if (learnt) learnt = recorders.mappings.learn(proc, view.pid, kSamples);
  if (!learnt) view.capture.log.debug("smaps will be read: {}", learnt.error().message());
  return vmas;
}

}  // namespace

Result<TaskView> view_task(Capture& capture, Pid pid, const procfs::ProcTask& proc,
                           Recorders& recorders, Look look) {
  TaskView view{capture, pid, proc, {}, {}, {}, {}};
  view.stat = TRY(proc.stat());
  view.status = TRY(proc.status());
  view.vmas = TRY(view_mappings(view, recorders, look));
  const std::vector<FdNo> fds = TRY(proc.fds());
  for (const FdNo fd : fds) {
    Result<FdView> one = FdView::of_fd(proc.dir(), fd);
    if (!one && one.error().code() == ENOENT) continue;  // a task that runs has closed it
    if (!one) return std::move(one).error().during(fmt::format("looking at fd {}", fd));
    view.fds.push_back(std::move(*one));
  }
  return view;
}

Result<void> examine_task(const TaskView& view) {
  for (const TaskKind* kind : task_kinds())
    if (kind->examine != nullptr)
      TRY_IN(kind->examine(view), "examining the {} of {}", kind->name, view.pid);
  return {};
}

Result<TaskImage> capture_task(Capture& capture, Pid pid, const procfs::ProcTask& proc,
                               const FrozenProcess& frozen, Recorders& recorders,
                               ObjectIds& objects, pb::inventory_entry& inventory) {
  TaskView view = TRY(view_task(capture, pid, proc, recorders, Look::frozen));
  TRY(examine_task(view));
  pb::task_kobj_ids_entry ids;
  TRY(objects.assign(view, inventory, ids));
  if (!capture.blockers.empty()) return Error::unsupported("blocked");
  TaskCapture task{std::move(view), {}, {}, {}, {}, {}};
  task.mem = TRY(proc.open("mem", O_RDWR));
  TRY(take_threads(task, frozen.threads(), recorders.threads));
  task.image.ids = std::move(ids);
  TRY(capture_kinds(task));
  if (!capture.blockers.empty()) return Error::unsupported("blocked");
  CoordinatorLife life = TRY(CoordinatorLife::begin());
  TRY(capture_injected(task, life));
  for (const TaskKind* kind : task_kinds())
    if (kind->look_again != nullptr)
      TRY_IN(kind->look_again(task), "looking at the {} of {} again", kind->name, task.pid);
  return std::move(task.image);
}

Result<TaskImage> capture_zombie(const Capture& capture, Pid pid, const procfs::ProcTask& proc) {
  const procfs::TaskStat stat = TRY(proc.stat());
  TaskImage image;
  image.node.set_pid(static_cast<uint32_t>(pid.value));
  image.node.set_ppid(pid == capture.options.tree ? 0 : static_cast<uint32_t>(stat.ppid));
  image.node.set_pgid(static_cast<uint32_t>(stat.pgrp));
  image.node.set_sid(static_cast<uint32_t>(stat.session));
  image.node.add_threads(image.node.pid());
  ThreadImage& leader = image.threads.emplace_back(ThreadImage{leader_of(pid), {}, {}});
  arch::set_architecture(leader.core);
  pb::task_core_entry& tc = *leader.core.mutable_tc();
  tc.set_task_state(kTaskDead);
  tc.set_exit_code(static_cast<uint32_t>(stat.exit_code));
  tc.set_personality(0);
  tc.set_flags(0);
  tc.set_blk_sigset(0);
  tc.set_comm(stat.comm);
  return image;
}

Result<void> write_task(ImageWriter& images, const TaskImage& image) {
  const uint64_t pid = image.node.pid();
  TRY(images.append({ImageKind::pstree}, image.node));
  if (image.dead()) return images.append({ImageKind::core, pid}, image.leader().core);
  TRY(images.append({ImageKind::ids, pid}, image.ids));
  TRY(images.append({ImageKind::mm, pid}, image.mm));
  TRY(images.append({ImageKind::fs, pid}, image.fs));
  images.create({ImageKind::fdinfo, image.ids.files_id()});
  for (const pb::fdinfo_entry& entry : image.fds)
    TRY(images.append({ImageKind::fdinfo, image.ids.files_id()}, entry));
  pb::cryo_task_entry extra = image.extra;
  for (const ThreadImage& thread : image.threads) {
    TRY(images.append({ImageKind::core, static_cast<uint64_t>(thread.tid.value)}, thread.core));
    pb::cryo_thread_entry& entry = *extra.add_threads();
    entry = thread.extra;
    entry.set_tid(static_cast<uint32_t>(thread.tid.value));
  }
  return images.append({ImageKind::cryo, pid}, extra);
}

}  // namespace cryo
