#include "engine/staged_tree.h"

#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "arch/address_space.h"
#include "arch/spawn.h"
#include "base/clock.h"
#include "sys/memory.h"
#include "sys/process.h"

namespace cryo {
namespace {

constexpr uint64_t kSlotStride = 4096;
constexpr uint64_t kLeastArena = 64 * 1024;

uint64_t rounded(uint64_t bytes) { return (bytes + 15) & ~uint64_t{15}; }

}  // namespace

Result<std::unique_ptr<StagedTree>> StagedTree::raise(const Restore& restore, const Family& family,
                                                      const std::vector<TaskPlan>& plans,
                                                      const std::vector<AddressRange>& taken,
                                                      Tracer& tracer) {
  std::unique_ptr<StagedTree> tree(new StagedTree(restore, family, tracer));
  AreaLayout layout;
  tree->make_places(plans, layout);
  TRY(tree->make_area(taken, layout));
  TRY(tree->bear_all());
  TRY(tree->make_groups());
  TRY(tree->end_helpers());
  TRY(tree->end_zombies());
  TRY(tree->forget_children());
  return tree;
}

StagedTree::~StagedTree() {
  if (alive_) kill();
  if (area_ && life_) life_->remove(*area_);
  if (!was_subreaper_) (void)sys::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

// --- the shared area

void StagedTree::make_places(const std::vector<TaskPlan>& plans, AreaLayout& layout) {
  layout = {.slots = 0, .slot_stride = kSlotStride, .arena = 0};
  newborns_.resize(family_->members.size());
  for (size_t i = 0; i < newborns_.size(); ++i) {
    Newborn& one = newborns_[i];
    const std::optional<size_t> node = family_->members[i].node;
    if (node) one.image = &restore_->snapshot.tasks[*node];
    if (node && !one.image->dead()) one.plan = &plans[*node];
    const uint64_t threads = one.plan != nullptr ? one.plan->threads() : 1;
    const uint64_t planned = one.plan != nullptr ? one.plan->largest_leader_batch() : 0;
    one.place = {
        layout.slots, layout.arena,
        rounded(std::max({kLeastArena, planned, first_calls(i).bytes()}) + threads * 256 + 1024),
        one.plan != nullptr ? rounded(one.plan->largest_thread_batch()) : 0};
    layout.slots += static_cast<uint32_t>(threads);
    layout.arena += one.place.leader_arena + one.place.thread_arena * threads;
  }
  layout.arena += kScratchSize;
}

Result<void> StagedTree::make_area(const std::vector<AddressRange>& taken,
                                   const AreaLayout& layout) {
  std::vector<AddressRange> all = taken;
  for (const SpecialMapping& special : restore_->special)
    all.push_back({special.parked, special.parked + special.size});
  std::ranges::sort(all, {}, &AddressRange::start);
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
  scratch_ = area_->arena_address() + layout.arena - kScratchSize;
  for (size_t i = 0; i < newborns_.size(); ++i) {
    Newborn& one = newborns_[i];
    const Pid pid{static_cast<int32_t>(family_->members[i].pid)};
    if (one.plan != nullptr)
      one.stage = std::make_unique<Stage>(*restore_, *one.image, *one.plan, *tracer_, *area_,
                                          one.place, scratch_);
    else
      one.puppet =
          std::make_unique<Puppet>(*area_, one.place.first_slot, Running(*tracer_, leader_of(pid)),
                                   one.place.arena, one.place.leader_arena);
  }
  area_->slot(newborns_.front().place.first_slot).spins = 2000;
  return {};
}

// --- birth

// What a process does as soon as it exists. All but the root come into the address space of their parents, which is
// empty already.
Batch StagedTree::first_calls(size_t member) const {
  Batch batch;
  if (member == 0 && area_) {
    std::vector<AddressRange> keep{{area_->remote(), area_->remote() + area_->size()}};
    for (const SpecialMapping& special : restore_->special) {
      batch
          .call(SYS_mremap, special.start, special.size, special.size,
                MREMAP_MAYMOVE | MREMAP_FIXED, special.parked)
          .expect_exactly(static_cast<int64_t>(special.parked));
      keep.push_back({special.parked, special.parked + special.size});
    }
    std::ranges::sort(keep, {}, &AddressRange::start);
    uint64_t at = 0;
    for (const AddressRange& range : keep) {
      if (range.start > at) batch.call(SYS_munmap, at, range.start - at);
      at = range.end;
    }
    batch.call(SYS_munmap, at, arch::user_space_end() - at);
  }
  add_steps(member, batch);
  return batch;
}

void StagedTree::add_steps(size_t member, Batch& batch) const {
  const std::vector<Member::Step>& steps = family_->members[member].steps;
  for (size_t i = newborns_[member].next_step; i < steps.size(); ++i) {
    if (steps[i].what == Member::Step::What::setsid) {
      batch.call(SYS_setsid);
      continue;
    }
    const auto pid = static_cast<int32_t>(family_->members[steps[i].whom].pid);
    const bool sibling = steps[i].what == Member::Step::What::sibling;
    sys::CloneArgs args;
    args.flags = sibling ? CLONE_PARENT : 0;
    args.exit_signal = sibling ? 0 : SIGCHLD;  // a sibling's is that of the helper, the same
    args.set_tid_size = 1;
    const Data number = batch.put(pid);
    const Data clone = batch.put(args);
    batch.point(clone, offsetof(sys::CloneArgs, set_tid), number);
    batch.spawn(clone, sizeof(args), newborns_[steps[i].whom].place.first_slot).expect_exactly(pid);
  }
}

Result<void> StagedTree::spawn_root() {
  const bool sibling = restore_->options.sibling;
  int32_t set_tid = root().value;
  sys::CloneArgs args;
  args.flags = CLONE_CLEAR_SIGHAND | (sibling ? CLONE_PARENT : 0);
  args.exit_signal = sibling ? 0 : SIGCHLD;
  args.set_tid = reinterpret_cast<uint64_t>(&set_tid);
  args.set_tid_size = 1;
  const uint64_t until = monotonic_ns() + kNumberPatience;
  int64_t child = 0;
  do {
    child = arch::spawn_puppet(args, area_->entry(),
                               area_->slot_address(newborns_.front().place.first_slot));
  } while (child == -EEXIST && wait_for_number(set_tid, until));
  if (child >= 0) return {};
  Error error = Error::os(static_cast<int>(-child), fmt::format("clone3(set_tid={})", set_tid));
  if (child == -EEXIST) return number_in_use(std::move(error), set_tid);
  if (child == -EPERM)
    return std::move(error).hint("choosing a pid needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN");
  return error;
}

// Until the member has made its session and its children. A number may take a moment to become free.
Result<void> StagedTree::await_steps(size_t member) {
  Newborn& one = newborns_[member];
  const std::vector<Member::Step>& steps = family_->members[member].steps;
  const uint64_t until = monotonic_ns() + kNumberPatience;
  Batch batch = first_calls(member);
  for (;;) {
    const Outcome outcome = TRY(puppet_of(one).wait());
    if (outcome.complete()) break;
    const size_t left = batch.size() - outcome.finished();
    Error error = unexpected_answer(batch, outcome);
    if (outcome.result(outcome.finished()) != -EEXIST || left > steps.size()) return error;
    one.next_step = steps.size() - left;
    const auto number = static_cast<int32_t>(family_->members[steps[one.next_step].whom].pid);
    if (!wait_for_number(number, until)) return number_in_use(std::move(error), number);
    batch = Batch();
    add_steps(member, batch);
    puppet_of(one).post(batch);
  }
  one.next_step = steps.size();
  return {};
}

Result<void> StagedTree::bear_all() {
  // An orphan of a restore that fails is ours to reap.
  int before = 0;
  TRY(sys::prctl(PR_GET_CHILD_SUBREAPER, reinterpret_cast<unsigned long>(&before)));
  TRY(sys::prctl(PR_SET_CHILD_SUBREAPER, 1));
  was_subreaper_ = before != 0;
  for (size_t i = 0; i < newborns_.size(); ++i) puppet_of(newborns_[i]).post(first_calls(i));
  TRY(spawn_root());
  alive_ = true;
  // Everybody comes after the one that makes it.
  for (size_t i = 0; i < newborns_.size(); ++i) {
    Newborn& one = newborns_[i];
    const Tid tid{static_cast<int32_t>(family_->members[i].pid)};
    (void)TRY(tracer_->seize(tid, trace_options(one.plan != nullptr ? one.image : nullptr)));
    one.seized = true;
    if (one.stage) TRY(one.stage->born());
    TRY_IN(await_steps(i), "making the children of {}", tid);
  }
  return {};
}

Result<void> StagedTree::make_groups() {
  for (const Family::Group& group : family_->groups) {
    Batch batch;
    batch.call(SYS_setpgid, 0, group.pgid);
    TRY_IN(puppet_of(newborns_[group.member]).run_all(batch), "moving {} to process group {}",
           family_->members[group.member].pid, group.pgid);
  }
  return {};
}

// --- early deaths

Result<void> StagedTree::end_one(size_t member, const Batch& last) {
  Newborn& one = newborns_[member];
  Puppet& puppet = *one.puppet;
  puppet.post(last);
  TRY(puppet.task().wait_for_end());
  one.over = true;
  return {};
}

// Everybody is in the sessions and groups that they were for.
Result<void> StagedTree::end_helpers() {
  // Those that were made last first: a helper may be the child of one.
  for (size_t i = newborns_.size(); i-- > 0;) {
    if (newborns_[i].image != nullptr) continue;
    Batch exit;
    exit.call(SYS_exit_group, 0).no_reply();
    TRY(end_one(i, exit));
    Batch reap;
    reap.call(SYS_wait4, family_->members[i].pid, 0, __WALL, 0);
    TRY_IN(puppet_of(newborns_[*family_->members[i].parent]).run_all(reap), "reaping the helper {}",
           family_->members[i].pid);
  }
  return {};
}

Result<void> StagedTree::end_zombies() {
  for (size_t i = 0; i < newborns_.size(); ++i) {
    if (newborns_[i].image == nullptr || newborns_[i].plan != nullptr) continue;
    const uint32_t status = newborns_[i].image->tc().exit_code();
    const uint32_t pid = family_->members[i].pid;
    const uint64_t signal = status & 0x7f;
    Batch last;
    last.call(SYS_prctl, PR_SET_NAME,
              last.put_string(newborns_[i].image->tc().comm().substr(0, 15)));
    if (signal != 0) {
      const struct rlimit64 no_core {};
      last.call(SYS_prlimit64, 0, static_cast<int>(RLIMIT_CORE), last.put(no_core), 0);
      const uint64_t mask = sys::sig_bit(static_cast<int>(signal));
      last.call(SYS_rt_sigprocmask, SIG_UNBLOCK, last.put(mask), 0, sizeof(mask));
      last.call(SYS_kill, pid, signal).no_reply();
    } else {
      last.call(SYS_exit_group, status >> 8 & 0xff).no_reply();
    }
    TRY_IN(end_one(i, last), "ending {}", pid);
  }
  return {};
}

// The deaths have told the parents, who were told before they were dumped.
Result<void> StagedTree::forget_children() {
  for (size_t i = 0; i < newborns_.size(); ++i) {
    if (!newborns_[i].over || !newborns_[*family_->members[i].parent].stage) continue;
    Batch batch;
    const uint64_t child = sys::sig_bit(SIGCHLD);
    const timespec now{};
    batch.call(SYS_rt_sigtimedwait, batch.put(child), 0, batch.put(now), sizeof(child))
        .any_result();
    TRY(newborns_[*family_->members[i].parent].stage->leader().run_all(batch));
  }
  return {};
}

// --- life

Result<void> StagedTree::perform(Phase phase) {
  for (const Newborn& one : newborns_)
    if (one.stage && phase == Phase::spawn) TRY(one.stage->spawn_threads());
  for (const Newborn& one : newborns_)
    if (one.stage) one.stage->post(phase);
  for (const Newborn& one : newborns_)
    if (one.stage) TRY(one.stage->finish(phase));
  return {};
}

Result<void> StagedTree::let_go(bool all_stopped) {
  for (const Newborn& one : newborns_)
    if (one.stage) TRY(one.stage->prepare_to_go());
  for (const Newborn& one : newborns_)
    if (one.stage) TRY(one.stage->stop_again(all_stopped));
  // Nothing in the kernel lets all of them go at once, so the moment in which our end would kill only some of them is as
  // short as can be.
  for (const Newborn& one : newborns_)
    if (one.stage) TRY(one.stage->outlive_us());
  for (const Newborn& one : newborns_)
    if (one.stage) TRY(one.stage->let_go());
  alive_ = false;
  return {};
}

// --- a failure

void StagedTree::kill() {
  tracer_->set_interruptible(false);
  // Those that nobody traces yet end by this.
  life_->declare_dead(*area_);
  for (size_t i = 0; i < newborns_.size(); ++i)
    if (newborns_[i].seized && !newborns_[i].over)
      (void)sys::kill(Pid{static_cast<int32_t>(family_->members[i].pid)}, SIGKILL);
  for (size_t i = newborns_.size(); i-- > 0;) {
    const Newborn& one = newborns_[i];
    if (!one.seized || one.over) continue;
    if (one.stage)
      one.stage->bury();
    else
      (void)one.puppet->task().wait_for_end();
  }
  reap();
  alive_ = false;
}

// The children of those that have ended came to us.
void StagedTree::reap() const {
  const uint64_t until = monotonic_ns() + kNumberPatience;
  for (;;) {
    const Result<std::optional<sys::Waited>> waited = sys::wait4(-1, __WALL | WNOHANG);
    if (!waited) return;
    if (waited.value()) continue;
    if (monotonic_ns() > until) return;
    sys::sched_yield();
  }
}

}  // namespace cryo
