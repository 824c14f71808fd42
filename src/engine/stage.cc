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
namespace {

// Filters that the task gets stay out of force as long as we are there; only asked for when needed, because it takes
// CAP_SYS_ADMIN.
unsigned trace_options(const TaskImage& image) {
  const bool filtered =
      std::ranges::any_of(image.threads,
                          [](const ThreadImage& t) {
                            return t.core.thread_core().seccomp_mode() != pb::disabled;
                          }) ||
      image.tc().old_seccomp_mode() != pb::disabled;
  return PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | (filtered ? PTRACE_O_SUSPEND_SECCOMP : 0);
}

constexpr uint64_t kThreadStride = 4096;

AreaLayout area_layout(const TaskPlan& plan) {
  const uint64_t per_thread = (plan.largest_thread_batch() + 15) & ~uint64_t{15};
  const uint64_t leader =
      std::max<uint64_t>(plan.largest_leader_batch(), 64 * 1024) + plan.threads() * 256;
  return {.slots = static_cast<uint32_t>(plan.threads()),
          .slot_stride = kThreadStride,
          .arena = leader + per_thread * plan.threads() + kScratchSize};
}

}  // namespace

Result<std::vector<AddressRange>> taken_ranges(const TaskImage& image) {
  std::vector<AddressRange> taken;
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  const std::vector<procfs::Vma> ours = TRY(self.maps());
  const uint64_t top = arch::user_space_end();
  for (const procfs::Vma& vma : ours)
    if (vma.end <= top) taken.push_back({vma.start, vma.end});
  for (const pb::vma_entry& vma : image.mm.vmas()) {
    if (vma.end() > top || vma.start() >= vma.end()) continue;
    // Most follow on each other.
    if (!taken.empty() && taken.back().end == vma.start())
      taken.back().end = vma.end();
    else
      taken.push_back({vma.start(), vma.end()});
  }
  std::ranges::sort(taken, {}, &AddressRange::start);
  std::vector<AddressRange> merged;
  for (const AddressRange& range : taken) {
    if (!merged.empty() && range.start <= merged.back().end)
      merged.back().end = std::max(merged.back().end, range.end);
    else
      merged.push_back(range);
  }
  return merged;
}

Result<std::vector<SpecialMapping>> plan_parking(const std::vector<AddressRange>& taken) {
  std::vector<SpecialMapping> special;
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  const std::vector<procfs::Vma> ours = TRY(self.maps());
  for (const procfs::Vma& vma : ours)
    if (vma.name == "[vdso]" || vma.name == "[vvar]" || vma.name == "[vvar_vclock]")
      special.push_back({vma.name, vma.start, vma.end - vma.start, 0});
  uint64_t size = 0;
  for (const SpecialMapping& mapping : special) size += mapping.size;
  const uint64_t hole = find_hole(taken, size);
  if (hole == 0) return Error::unsupported("no room for the vDSO in the address space");
  uint64_t at = hole;
  for (SpecialMapping& mapping : special) {
    mapping.parked = at;
    at += mapping.size;
  }
  return special;
}

Result<std::unique_ptr<Stage>> Stage::raise(const Restore& restore, const TaskImage& image,
                                            const TaskPlan& plan, Tracer& tracer) {
  std::unique_ptr<Stage> stage(new Stage(restore, image, plan, tracer));
  std::vector<AddressRange> taken = TRY(taken_ranges(image));
  TRY(stage->make_area(taken));
  TRY(stage->spawn_leader());
  TRY(stage->empty_address_space());
  return stage;
}

Stage::~Stage() {
  if (alive_) kill();
  if (area_ && life_) life_->remove(*area_);
}

// Every thread is waited for, the leader last: its status is reported only after the traced others'.
void Stage::kill() {
  tracer_->set_interruptible(false);
  (void)sys::kill(pid(), SIGKILL);
  for (size_t i = tids_.size(); i-- > 0;)
    for (;;) {
      const Result<sys::WaitStatus> status = tracer_->wait(tids_[i]);
      if (!status || status.value().dead()) break;
    }
  alive_ = false;
}

Result<void> Stage::make_area(const std::vector<AddressRange>& taken) {
  std::vector<AddressRange> all = taken;
  for (const SpecialMapping& special : restore_->special)
    all.push_back({special.parked, special.parked + special.size});
  std::ranges::sort(all, {}, &AddressRange::start);
  const AreaLayout layout = area_layout(*plan_);
  const uint64_t hole = find_hole(all, layout.size());
  if (hole == 0) return Error::unsupported("no room for the shared area in the address space");
  sys::Mapping memory = TRY(sys::Mapping::make(layout.size(), PROT_READ | PROT_WRITE | PROT_EXEC,
                                               MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                                               FdRef(-1), 0, reinterpret_cast<void*>(hole)));
  area_ = std::make_unique<Area>(std::move(memory), hole, layout);
  CoordinatorLife life = TRY(CoordinatorLife::begin());
  life_ = std::make_unique<CoordinatorLife>(std::move(life));
  life_->add(*area_);
  for (uint32_t i = 0; i < layout.slots; ++i) area_->prepare_slot(i, PUPPET_EXIT);
  area_->slot(0).spins = 2000;
  return {};
}

namespace {

// How long a number may take to become free: that of a task which was killed only just now is the kernel's for a
// moment more, with its memory to be given back, and its parent has to reap it.
constexpr uint64_t kPatience = 2'000'000'000;  // ns

// Whether nobody uses the number any more who could go on doing so.
bool is_being_freed(int32_t number) {
  const Result<procfs::ProcDir> dir = procfs::ProcDir::open();
  if (!dir) return false;
  const Result<procfs::ProcTask> task = dir.value().task(Pid{number});
  if (!task) return true;
  const Result<procfs::TaskStat> stat = task.value().stat();
  return !stat || stat.value().zombie();
}

// Lets others run; false when it has been too long.
bool wait_for_number(int32_t number, uint64_t until) {
  if (!is_being_freed(number) || monotonic_ns() > until) return false;
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

}  // namespace

Result<void> Stage::spawn_leader() {
  int32_t set_tid = pid().value;
  sys::CloneArgs args;
  args.flags = CLONE_CLEAR_SIGHAND | (restore_->options.sibling ? CLONE_PARENT : 0);
  args.exit_signal = restore_->options.sibling ? 0 : SIGCHLD;
  args.set_tid = reinterpret_cast<uint64_t>(&set_tid);
  args.set_tid_size = 1;
  const uint64_t until = monotonic_ns() + kPatience;
  int64_t child = 0;
  do {
    child = arch::spawn_puppet(args, area_->entry(), area_->slot_address(0));
  } while (child == -EEXIST && wait_for_number(set_tid, until));
  if (child < 0) {
    Error error = Error::os(static_cast<int>(-child), fmt::format("clone3(set_tid={})", set_tid));
    if (child == -EEXIST) return number_in_use(std::move(error), set_tid);
    if (child == -EPERM)
      return std::move(error).hint("choosing a pid needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN");
    return error;
  }
  tids_.push_back(leader_of(pid()));
  alive_ = true;
  const Running leader = TRY(tracer_->seize(tids_[0], trace_options(*image_)));
  const uint64_t threads_arena =
      ((plan_->largest_thread_batch() + 15) & ~uint64_t{15}) * plan_->threads();
  puppets_.emplace_back(*area_, 0, leader, threads_arena,
                        area_->arena().size() - threads_arena - kScratchSize);
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  procfs::ProcTask task = TRY(proc.task(pid()));
  proc_ = std::make_unique<procfs::ProcTask>(std::move(task));
  return {};
}

Result<void> Stage::empty_address_space() {
  Batch batch;
  for (const SpecialMapping& special : restore_->special)
    batch
        .call(SYS_mremap, special.start, special.size, special.size, MREMAP_MAYMOVE | MREMAP_FIXED,
              special.parked)
        .expect_exactly(static_cast<int64_t>(special.parked));
  std::vector<AddressRange> keep{{area_->remote(), area_->remote() + area_->size()}};
  for (const SpecialMapping& special : restore_->special)
    keep.push_back({special.parked, special.parked + special.size});
  std::ranges::sort(keep, {}, &AddressRange::start);
  uint64_t at = 0;
  for (const AddressRange& range : keep) {
    if (range.start > at) batch.call(SYS_munmap, at, range.start - at);
    at = range.end;
  }
  batch.call(SYS_munmap, at, arch::user_space_end() - at);
  TRY_IN(puppets_[0].run_all(batch), "emptying the address space of {}", pid());
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
    batch.spawn(clone, sizeof(args), static_cast<uint32_t>(i))
        .expect_exactly(image_->threads[i].tid.value);
  }
  return batch;
}

Result<void> Stage::spawn_threads() {
  const uint64_t until = monotonic_ns() + kPatience;
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
  const unsigned options = trace_options(*image_);
  for (size_t i = 1; i < image_->threads.size(); ++i) {
    (void)TRY(tracer_->seize(image_->threads[i].tid, options));
    tids_.push_back(image_->threads[i].tid);
  }
  return {};
}

// A thread that finds its first calls when it begins need not be woken for them. But filters must be out of force
// before it makes any.
void Stage::post_first_calls() {
  const uint64_t arena = (plan_->largest_thread_batch() + 15) & ~uint64_t{15};
  for (size_t i = 1; i < image_->threads.size(); ++i)
    puppets_.emplace_back(*area_, static_cast<uint32_t>(i),
                          Running(*tracer_, image_->threads[i].tid), (i - 1) * arena, arena);
  if ((trace_options(*image_) & PTRACE_O_SUSPEND_SECCOMP) != 0) return;
  const std::vector<Batch>& first = plan_->steps(Phase::thread).calls;
  for (size_t i = 1; i < first.size(); ++i)
    if (!first[i].empty()) puppets_[i].post(first[i]);
  first_are_posted_ = true;
}

Result<void> Stage::perform_calls(const std::vector<Batch>& calls, Phase phase) {
  // All are posted before any is waited for.
  const bool posted = phase == Phase::thread && first_are_posted_;
  for (size_t i = 0; i < calls.size(); ++i)
    if (!calls[i].empty() && (i == 0 || !posted)) puppets_[i].post(calls[i]);
  for (size_t i = 0; i < calls.size(); ++i) {
    if (calls[i].empty()) continue;
    const Outcome outcome = TRY(puppets_[i].wait());
    if (!outcome.complete())
      return unexpected_answer(calls[i], outcome)
          .during(fmt::format("restoring thread {} (phase {})", tids_[i], name_of(phase)));
  }
  return {};
}

Result<void> Stage::perform(Phase phase) {
  if (phase == Phase::spawn) TRY(spawn_threads());
  const TaskPlan::PhaseSteps& steps = plan_->steps(phase);
  TRY(perform_calls(steps.calls, phase));
  const uint64_t scratch = area_->arena_address() + area_->arena().size() - kScratchSize;
  TaskStage stage{pid(), proc_->dir(), tids_, puppets_[0], scratch, restore_->log};
  for (const HostStep& step : steps.host)
    TRY_IN(step.perform(stage), "restoring {}: {}", pid(), step.what);
  return {};
}

}  // namespace cryo
