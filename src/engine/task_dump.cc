#include "engine/task_dump.h"

#include "engine/ids.h"
#include "kinds/registry.h"

namespace cryo {
namespace {

Result<void> capture_kinds(TaskCapture& task) {
  for (const TaskKind* kind : task_kinds()) {
    if (kind->capture != nullptr) TRY_IN(kind->capture(task), "capturing the {} of {}", kind->name, task.pid);
    if (kind->capture_thread == nullptr) continue;
    for (size_t i = 0; i < task.threads.size(); ++i) {
      ThreadCapture thread{task, i};
      TRY_IN(kind->capture_thread(thread), "capturing the {} of thread {}", kind->name, thread.tid());
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
      Answer answer = TRY_IN(kind->ask(task, batch), "asking for the {} of {}", kind->name, task.pid);
      answers.push_back(std::move(answer));
    }
    if (kind->ask_thread == nullptr) continue;
    ThreadCapture thread{task, 0};
    Answer answer = TRY_IN(kind->ask_thread(thread, batch), "asking for the {} of thread {}", kind->name, thread.tid());
    answers.push_back(std::move(answer));
  }
  const Outcome outcome = TRY(leader.run_all(batch));
  for (const Answer& answer : answers) TRY(answer(outcome));
  return {};
}

Result<void> ask_threads(TaskCapture& task, Injection& injection) {
  const std::span<const FrozenThread> others = std::span(task.threads).subspan(1);
  std::vector<std::vector<Answer>> answers(others.size());
  std::optional<Error> failure;
  const auto make = [&](size_t i) {
    Batch batch;
    ThreadCapture thread{task, i + 1};
    for (const TaskKind* kind : task_kinds()) {
      if (kind->ask_thread == nullptr) continue;
      Result<Answer> answer = kind->ask_thread(thread, batch);
      if (answer) answers[i].push_back(std::move(answer).value());
      else if (!failure) failure = std::move(answer).error();
    }
    return batch;
  };
  const auto take = [&](size_t i, const Outcome& outcome) -> Result<void> {
    if (!outcome.complete()) return Error::of(ErrorKind::os, fmt::format("thread {} did not answer call {}", others[i].task.tid(), outcome.finished()));
    for (const Answer& answer : answers[i]) TRY(answer(outcome));
    return {};
  };
  TRY(injection.run_in_threads(others, make, take));
  if (failure) return std::move(*failure);
  return {};
}

Result<void> capture_injected(TaskCapture& task, CoordinatorLife& life, uint64_t deadline_s) {
  std::vector<AddressRange> mapped;
  AddressRange vdso{0, 0};
  for (const procfs::Vma& vma : task.vmas) {
    if (vma.name == "[vsyscall]") continue;
    mapped.push_back({vma.start, vma.end});
    if (vma.name == "[vdso]") vdso = {vma.start, vma.end};
  }
  const InjectionSite site = TRY(InjectionSite::find(mapped, vdso, task.mem, Injection::area_size()));
  Injection injection = TRY(Injection::inject(task.threads.front(), site, task.proc.dir(), task.mem, life, deadline_s));
  TRY(ask_leader(task, injection.leader()));
  TRY(ask_threads(task, injection));
  for (const TaskKind* kind : task_kinds())
    if (kind->drain != nullptr) TRY_IN(kind->drain(task, injection), "copying the {} of {}", kind->name, task.pid);
  return std::move(injection).cure();
}

}  // namespace

Result<TaskView> view_task(Capture& capture, Pid pid, const procfs::ProcTask& proc) {
  TaskView view{capture, pid, proc, {}, {}, {}, {}};
  view.stat = TRY(proc.stat());
  view.status = TRY(proc.status());
  view.vmas = TRY(proc.smaps());
  const std::vector<FdNo> fds = TRY(proc.fds());
  for (const FdNo fd : fds) {
    FdView one = TRY_IN(FdView::of_fd(proc.dir(), fd), "looking at fd {}", fd);
    view.fds.push_back(std::move(one));
  }
  return view;
}

Result<void> examine_task(const TaskView& view) {
  for (const TaskKind* kind : task_kinds())
    if (kind->examine != nullptr) TRY_IN(kind->examine(view), "examining the {} of {}", kind->name, view.pid);
  return {};
}

Result<TaskImage> capture_task(Capture& capture, Pid pid, const procfs::ProcTask& proc, const FrozenProcess& frozen,
                               pb::inventory_entry& inventory) {
  TaskView view = TRY(view_task(capture, pid, proc));
  TRY(examine_task(view));
  pb::task_kobj_ids_entry ids;
  TRY(assign_ids(view, inventory, ids));
  if (!capture.blockers.empty()) return Error::unsupported("blocked");
  TaskCapture task{std::move(view), {}, {}, {}};
  task.mem = TRY(proc.open("mem", O_RDWR));
  for (const Stopped& thread : frozen.threads()) {
    arch::ThreadState state = TRY(thread.thread_state());
    const sys::SigSet mask = TRY(thread.signal_mask());
    task.threads.push_back({thread, std::move(state), mask});
    task.image.threads.push_back({thread.tid(), {}, {}});
  }
  task.image.ids = std::move(ids);
  TRY(capture_kinds(task));
  CoordinatorLife life = TRY(CoordinatorLife::begin());
  TRY(capture_injected(task, life, 0));
  return std::move(task.image);
}

Result<void> write_task(ImageWriter& images, const TaskImage& image) {
  const uint64_t pid = image.node.pid();
  TRY(images.append({ImageKind::pstree}, image.node));
  TRY(images.append({ImageKind::ids, pid}, image.ids));
  TRY(images.append({ImageKind::mm, pid}, image.mm));
  TRY(images.append({ImageKind::fs, pid}, image.fs));
  images.create({ImageKind::fdinfo, image.ids.files_id()});
  for (const pb::fdinfo_entry& entry : image.fds) TRY(images.append({ImageKind::fdinfo, image.ids.files_id()}, entry));
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
