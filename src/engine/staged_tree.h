// StagedTree: the half-made processes of a restore. Whatever goes wrong, the destructor leaves none of them behind (and if
// we are killed, PTRACE_O_EXITKILL and the puppets' robust futex do).
//
// All processes share one area, which every one inherits from the root; each has its slots and its part of the arena.
// The family unfolds by itself: the first calls of each process, its forks among them, are posted before it exists.
#pragma once

#include <memory>
#include <vector>

#include "engine/family.h"
#include "engine/parking.h"
#include "engine/stage.h"

namespace cryo {

class StagedTree {
 public:
  // Makes all processes, in their sessions and groups, and those that have ended already end: puppets in otherwise
  // empty address spaces, with our special mappings parked. `plans` are by task of the snapshot. All arguments must
  // outlive the result.
  static Result<std::unique_ptr<StagedTree>> raise(const Restore& restore, const Family& family,
                                                   const std::vector<TaskPlan>& plans,
                                                   const std::vector<AddressRange>& taken,
                                                   Tracer& tracer);
  ~StagedTree();
  StagedTree(const StagedTree&) = delete;

  Result<void> perform(Phase phase);
  // From here on the processes are on their own: those that were stopped are, or all of them.
  Result<void> let_go(bool all_stopped);
  Pid root() const { return Pid{static_cast<int32_t>(family_->members.front().pid)}; }

 private:
  // One who is born: a process of the tree, one that has ended, or a helper.
  struct Newborn {
    const TaskImage* image = nullptr;  // none: a helper
    const TaskPlan* plan = nullptr;    // none: it will not live
    StagePlace place{};
    std::unique_ptr<Stage> stage;    // of those that live
    std::unique_ptr<Puppet> puppet;  // of the others
    size_t next_step = 0;            // of the member's, not known to be done
    bool seized = false;
    bool over = false;
  };
  StagedTree(const Restore& restore, const Family& family, Tracer& tracer)
      : restore_(&restore), family_(&family), tracer_(&tracer) {}

  void make_places(const std::vector<TaskPlan>& plans, AreaLayout& layout);
  Result<void> make_area(const std::vector<AddressRange>& taken, const AreaLayout& layout);
  Batch first_calls(size_t member) const;
  void add_steps(size_t member, Batch& batch) const;
  Result<void> spawn_root();
  Result<void> await_steps(size_t member);
  Result<void> bear_all();
  Result<void> make_groups();
  Result<void> end_one(size_t member, const Batch& last);
  Result<void> end_helpers();
  Result<void> end_zombies();
  Result<void> forget_children();
  Puppet& puppet_of(Newborn& one) { return one.stage ? one.stage->leader() : *one.puppet; }
  void kill();
  void reap() const;

  const Restore* restore_;
  const Family* family_;
  Tracer* tracer_;
  std::unique_ptr<CoordinatorLife> life_;
  std::unique_ptr<Area> area_;
  uint64_t scratch_ = 0;
  std::vector<Newborn> newborns_;  // by member of the family
  bool was_subreaper_ = true;
  bool alive_ = false;
};

}  // namespace cryo
