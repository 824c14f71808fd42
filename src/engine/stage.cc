#include "engine/stage.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "arch/address_space.h"
#include "arch/core_image.h"
#include "arch/interrupted.h"
#include "arch/spawn.h"
#include "base/clock.h"
#include "engine/stopped_state.h"
#include "kinds/mm/vma_status.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/ptrace.h"

namespace cryo {
// Filters that the task gets stay out of force as long as we are there; only asked for when needed, because it takes
// CAP_SYS_ADMIN.
unsigned trace_options(const TaskImage* image) {
  const auto is_filtered = [](const ThreadImage& thread) {
    return thread.core.thread_core().seccomp_mode() != pb::disabled;
  };
  const bool filtered = image != nullptr && (std::ranges::any_of(image->threads, is_filtered) ||
                                             image->tc().old_seccomp_mode() != pb::disabled);
  return PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | (filtered ? PTRACE_O_SUSPEND_SECCOMP : 0);
}

namespace {

// Whether nobody uses the number any more who could go on doing so.
bool is_being_freed(int32_t number) {
  const Result<procfs::ProcDir> dir = procfs::ProcDir::open();
  if (!dir) return false;
  const Result<procfs::ProcTask> task = dir.value().task(Pid{number});
  if (!task) return true;
  const Result<procfs::TaskStat> stat = task.value().stat();
  return !stat || stat.value().zombie();
}

}  // namespace

// The number of a task which was killed only just now is the kernel's for a moment more, with its memory to be given
// back, and its parent has to reap it.
bool wait_for_number(int32_t number, uint64_t until_ns) {
  if (!is_being_freed(number) || monotonic_ns() > until_ns) return false;
  sched_yield();
  return true;
}

Error number_in_use(Error error, int32_t number) {
  return std::move(error).hint(is_being_freed(number)
                                   ? fmt::format("its number {} belongs to a process that has "
                                                 "ended, but that its parent has not reaped",
                                                 number)
                                   : fmt::format("its number {} is in use by another thread or "
                                                 "process",
                                                 number));
}

Stage::Stage(const Restore& restore, const TaskImage& image, const TaskPlan& plan, Tracer& tracer,
             Area& area, const StagePlace& place, uint64_t scratch)
    : restore_(&restore),
      image_(&image),
      plan_(&plan),
      tracer_(&tracer),
      area_(&area),
      place_(place),
      scratch_(scratch) {
  puppets_.emplace_back(area, place.first_slot, Running(tracer, leader_of(pid())), place.arena,
                        place.leader_arena);
}

Result<void> Stage::born() {
  tids_.push_back(leader_of(pid()));
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  procfs::ProcTask task = TRY(proc.task(pid()));
  proc_ = std::make_unique<procfs::ProcTask>(std::move(task));
  return {};
}

Batch Stage::spawning(size_t first) const {
  Batch batch;
  for (size_t i = first; i < image_->threads.size(); ++i) {
    const Data tid = batch.put(image_->threads[i].tid.value);
    sys::CloneArgs args;
    args.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    args.set_tid_size = 1;
    const Data clone = batch.put(args);
    batch.point(clone, offsetof(sys::CloneArgs, set_tid), tid);
    batch.spawn(clone, sizeof(args), place_.first_slot + static_cast<uint32_t>(i))
        .expect_exactly(image_->threads[i].tid.value);
  }
  return batch;
}

Result<void> Stage::spawn_threads() {
  const uint64_t until = monotonic_ns() + kNumberPatience;
  post_first_calls();
  for (size_t next = 1; next < image_->threads.size();) {
    const Batch batch = spawning(next);
    const Outcome made = TRY(puppets_[0].run(batch));
    next += made.finished();
    if (made.complete()) break;
    Error error = unexpected_answer(batch, made);
    if (made.result(made.finished()) == -EEXIST) {
      const int32_t number = image_->threads[next].tid.value;
      if (wait_for_number(number, until)) continue;
      error = number_in_use(std::move(error), number);
    }
    return std::move(error).during(fmt::format("making the threads of {}", pid()));
  }
  const unsigned options = trace_options(image_);
  for (size_t i = 1; i < image_->threads.size(); ++i) {
    (void)TRY(tracer_->seize(image_->threads[i].tid, options));
    tids_.push_back(image_->threads[i].tid);
  }
  return {};
}

// A thread that finds its first calls when it begins need not be woken for them. But filters must be out of force
// before it makes any.
void Stage::post_first_calls() {
  for (size_t i = 1; i < image_->threads.size(); ++i)
    puppets_.emplace_back(*area_, place_.first_slot + static_cast<uint32_t>(i),
                          Running(*tracer_, image_->threads[i].tid),
                          place_.arena + place_.leader_arena + (i - 1) * place_.thread_arena,
                          place_.thread_arena);
  if ((trace_options(image_) & PTRACE_O_SUSPEND_SECCOMP) != 0) return;
  const std::vector<Batch>& first = plan_->steps(Phase::thread).calls;
  for (size_t i = 1; i < first.size(); ++i)
    if (!first[i].empty()) puppets_[i].post(first[i]);
  first_are_posted_ = true;
}

// All are posted before any is waited for.
void Stage::post(Phase phase) {
  const std::vector<Batch>& calls = plan_->steps(phase).calls;
  const bool posted = phase == Phase::thread && first_are_posted_;
  for (size_t i = 0; i < calls.size(); ++i)
    if (!calls[i].empty() && (i == 0 || !posted)) puppets_[i].post(calls[i]);
}

Result<void> Stage::finish(Phase phase) {
  const TaskPlan::PhaseSteps& steps = plan_->steps(phase);
  for (size_t i = 0; i < steps.calls.size(); ++i) {
    if (steps.calls[i].empty()) continue;
    const Outcome outcome = TRY(puppets_[i].wait());
    if (!outcome.complete())
      return unexpected_answer(steps.calls[i], outcome)
          .during(fmt::format("restoring thread {} (phase {})", tids_[i], name_of(phase)));
  }
  TaskStage stage{pid(), proc_->dir(), tids_, puppets_[0], scratch_, restore_->log};
  for (const HostStep& step : steps.host)
    TRY_IN(step.perform(stage), "restoring {}: {}", pid(), step.what);
  return {};
}

}  // namespace cryo
