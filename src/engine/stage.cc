#include "engine/stage.h"

#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <algorithm>
#include <csignal>

#include "arch/core_image.h"
#include "arch/spawn.h"
#include "sys/file.h"
#include "sys/memory.h"

namespace cryo {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kTop = 0x7ffffffff000;
constexpr unsigned kTraceOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;
constexpr uint64_t kThreadStride = 4096;

AreaLayout area_layout(const TaskPlan& plan) {
  const uint64_t per_thread = (plan.largest_thread_batch() + 15) & ~uint64_t{15};
  const uint64_t leader = std::max<uint64_t>(plan.largest_leader_batch(), 64 * 1024) + plan.threads() * 256;
  return {.slots = static_cast<uint32_t>(plan.threads()), .slot_stride = kThreadStride, .arena = leader + per_thread * plan.threads()};
}

}  // namespace

Result<std::vector<AddressRange>> taken_ranges(const TaskImage& image) {
  std::vector<AddressRange> taken;
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  const std::vector<procfs::Vma> ours = TRY(self.maps());
  for (const procfs::Vma& vma : ours)
    if (vma.end <= kTop) taken.push_back({vma.start, vma.end});
  for (const pb::vma_entry& vma : image.mm.vmas())
    if (vma.end() <= kTop && vma.start() < vma.end()) taken.push_back({vma.start(), vma.end()});
  std::ranges::sort(taken, {}, &AddressRange::start);
  std::vector<AddressRange> merged;
  for (const AddressRange& range : taken) {
    if (!merged.empty() && range.start <= merged.back().end) merged.back().end = std::max(merged.back().end, range.end);
    else merged.push_back(range);
  }
  return merged;
}

Result<std::vector<SpecialMapping>> plan_parking(const std::vector<AddressRange>& taken) {
  std::vector<SpecialMapping> special;
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  const std::vector<procfs::Vma> ours = TRY(self.maps());
  for (const procfs::Vma& vma : ours)
    if (vma.name == "[vdso]" || vma.name == "[vvar]" || vma.name == "[vvar_vclock]") special.push_back({vma.name, vma.start, vma.end - vma.start, 0});
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

Result<std::unique_ptr<Stage>> Stage::raise(const Restore& restore, const TaskImage& image, const TaskPlan& plan, Tracer& tracer) {
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
  for (const SpecialMapping& special : restore_->special) all.push_back({special.parked, special.parked + special.size});
  std::ranges::sort(all, {}, &AddressRange::start);
  const AreaLayout layout = area_layout(*plan_);
  const uint64_t hole = find_hole(all, layout.size());
  if (hole == 0) return Error::unsupported("no room for the shared area in the address space");
  sys::Mapping memory = TRY(sys::Mapping::make(layout.size(), PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                                               FdRef(-1), 0, reinterpret_cast<void*>(hole)));
  area_ = std::make_unique<Area>(std::move(memory), hole, layout);
  CoordinatorLife life = TRY(CoordinatorLife::begin());
  life_ = std::make_unique<CoordinatorLife>(std::move(life));
  life_->add(*area_);
  for (uint32_t i = 0; i < layout.slots; ++i) area_->prepare_slot(i, PUPPET_EXIT);
  area_->slot(0).spins = 2000;
  return {};
}

Result<void> Stage::spawn_leader() {
  int32_t set_tid = pid().value;
  sys::CloneArgs args;
  args.flags = CLONE_CLEAR_SIGHAND | (restore_->options.sibling ? CLONE_PARENT : 0);
  args.exit_signal = restore_->options.sibling ? 0 : SIGCHLD;
  args.set_tid = reinterpret_cast<uint64_t>(&set_tid);
  args.set_tid_size = 1;
  const int64_t child = arch::spawn_puppet(args, area_->entry(), area_->slot_address(0));
  if (child < 0) {
    Error error = Error::os(static_cast<int>(-child), fmt::format("clone3(set_tid={})", set_tid));
    if (child == -EEXIST) return std::move(error).hint(fmt::format("pid {} is in use", set_tid));
    return error;
  }
  tids_.push_back(leader_of(pid()));
  alive_ = true;
  const Running leader = TRY(tracer_->seize(tids_[0], kTraceOptions));
  const uint64_t threads_arena = ((plan_->largest_thread_batch() + 15) & ~uint64_t{15}) * plan_->threads();
  puppets_.emplace_back(*area_, 0, leader, threads_arena, area_->arena().size() - threads_arena);
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  procfs::ProcTask task = TRY(proc.task(pid()));
  proc_ = std::make_unique<procfs::ProcTask>(std::move(task));
  return {};
}

Result<void> Stage::empty_address_space() {
  Batch batch;
  for (const SpecialMapping& special : restore_->special)
    batch.call(SYS_mremap, special.start, special.size, special.size, MREMAP_MAYMOVE | MREMAP_FIXED, special.parked)
        .expect_exactly(static_cast<int64_t>(special.parked));
  std::vector<AddressRange> keep{{area_->remote(), area_->remote() + area_->size()}};
  for (const SpecialMapping& special : restore_->special) keep.push_back({special.parked, special.parked + special.size});
  std::ranges::sort(keep, {}, &AddressRange::start);
  uint64_t at = 0;
  for (const AddressRange& range : keep) {
    if (range.start > at) batch.call(SYS_munmap, at, range.start - at);
    at = range.end;
  }
  batch.call(SYS_munmap, at, kTop - at);
  TRY_IN(puppets_[0].run_all(batch), "emptying the address space of {}", pid());
  return {};
}

Result<void> Stage::spawn_threads() {
  Batch batch;
  for (size_t i = 1; i < image_->threads.size(); ++i) {
    const Data tid = batch.put(image_->threads[i].tid.value);
    sys::CloneArgs args;
    args.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    args.set_tid_size = 1;
    const Data clone = batch.put(args);
    batch.point(clone, offsetof(sys::CloneArgs, set_tid), tid);
    batch.spawn(clone, sizeof(args), static_cast<uint32_t>(i)).expect_exactly(image_->threads[i].tid.value);
  }
  if (batch.empty()) return {};
  TRY_IN(puppets_[0].run_all(batch), "making the threads of {}", pid());
  const uint64_t arena = (plan_->largest_thread_batch() + 15) & ~uint64_t{15};
  for (size_t i = 1; i < image_->threads.size(); ++i) {
    tids_.push_back(image_->threads[i].tid);
    const Running thread = TRY(tracer_->seize(tids_.back(), kTraceOptions));
    puppets_.emplace_back(*area_, static_cast<uint32_t>(i), thread, (i - 1) * arena, arena);
  }
  return {};
}

Result<void> Stage::perform_calls(const std::vector<Batch>& calls, Phase phase) {
  // All are posted before any is waited for.
  for (size_t i = 0; i < calls.size(); ++i)
    if (!calls[i].empty()) puppets_[i].post(calls[i]);
  for (size_t i = 0; i < calls.size(); ++i) {
    if (calls[i].empty()) continue;
    const Outcome outcome = TRY(puppets_[i].wait());
    if (!outcome.complete()) return unexpected_answer(calls[i], outcome).during(fmt::format("restoring thread {} (phase {})", tids_[i], name_of(phase)));
  }
  return {};
}

Result<void> Stage::perform(Phase phase) {
  if (phase == Phase::spawn) TRY(spawn_threads());
  const TaskPlan::PhaseSteps& steps = plan_->steps(phase);
  TRY(perform_calls(steps.calls, phase));
  TaskStage stage{pid(), proc_->dir(), tids_, puppets_[0], restore_->log};
  for (const HostStep& step : steps.host) TRY_IN(step.perform(stage), "restoring {}: {}", pid(), step.what);
  return {};
}

Result<std::vector<Stopped>> Stage::stop_all() {
  for (const Puppet& puppet : puppets_) TRY(puppet.task().interrupt());
  std::vector<Stopped> stopped;
  for (const Puppet& puppet : puppets_) {
    Running running = puppet.task();
    stopped.push_back(TRY(std::move(running).wait_for_interrupt()));
  }
  return stopped;
}

Result<uint64_t> Stage::find_syscall_instruction() const {
  const Fd mem = TRY(proc_->open("mem", O_RDONLY));
  const std::vector<procfs::Vma> vmas = TRY(proc_->maps());
  const std::span<const std::byte> wanted = arch::syscall_instruction();
  for (const procfs::Vma& vma : vmas) {
    if (vma.name != "[vdso]") continue;
    std::vector<std::byte> text(vma.end - vma.start);
    TRY(sys::pread_all(mem, text.data(), text.size(), vma.start));
    const auto at = std::ranges::search(text, wanted);
    if (!at.empty()) return vma.start + static_cast<uint64_t>(at.begin() - text.begin());
  }
  return Error::of(ErrorKind::bug, "no system call instruction in the vDSO");
}

Result<void> Stage::unmap_area(const Stopped& leader) {
  const uint64_t instruction = TRY(find_syscall_instruction());
  arch::Registers registers = TRY(leader.registers());
  registers.call(instruction, SYS_munmap, {area_->remote(), area_->size(), 0, 0, 0, 0});
  TRY(leader.set_registers(registers));
  const int64_t result = TRY(leader.execute_call());
  if (result != 0) return Error::os(static_cast<int>(-result), "in the task: munmap of the shared area");
  return {};
}

Result<void> Stage::let_go(bool stopped) {
  std::vector<Stopped> threads = TRY(stop_all());
  TRY(unmap_area(threads[0]));
  for (size_t i = 0; i < threads.size(); ++i) {
    const ThreadImage& image = image_->threads[i];
    const arch::ThreadState state = TRY(arch::decode_thread(image.core));
    const uint64_t mask = i == 0 ? image_->tc().blk_sigset() : image.core.thread_core().blk_sigset();
    TRY(threads[i].set_signal_mask(mask));
    TRY_IN(threads[i].set_thread_state(state), "setting the registers of thread {}", image.tid);
  }
  if (stopped) TRY(sys::kill(pid(), SIGSTOP));
  for (Stopped& thread : threads) TRY(std::move(thread).detach());
  alive_ = false;
  return {};
}

}  // namespace cryo
