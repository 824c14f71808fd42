// Stage: one half-made process of a restore, from its birth as a puppet in an empty address space to the moment when it
// is let go. Who bears and buries it: StagedTree.
#pragma once

#include <memory>
#include <vector>

#include "plan/restore.h"
#include "procfs/reader.h"
#include "puppet/injection.h"

namespace cryo {

// A process's part of the tree's shared area.
struct StagePlace {
  uint32_t first_slot;           // one for each thread
  uint64_t arena, leader_arena;  // where it begins; how much of it is the leader's
  uint64_t thread_arena;         // of each thread
};

// How the tracer is to attach to the process; null: to one that is only there to end.
unsigned trace_options(const TaskImage* image);

// Lets others run for a moment, for a number that belongs to a process that is just ending; false when somebody really
// uses it, or it has been too long.
bool wait_for_number(int32_t number, uint64_t until_ns);
constexpr uint64_t kNumberPatience = 2'000'000'000;  // ns
Error number_in_use(Error error, int32_t number);

class Stage {
 public:
  // Precondition: the area outlives it; its slots are prepared.
  Stage(const Restore& restore, const TaskImage& image, const TaskPlan& plan, Tracer& tracer,
        Area& area, const StagePlace& place, uint64_t scratch);
  Stage(const Stage&) = delete;

  Pid pid() const { return image_->pid(); }
  Puppet& leader() { return puppets_[0]; }
  // The leader is there, and traced.
  Result<void> born();

  // The other threads, before Phase::spawn.
  Result<void> spawn_threads();
  // A phase has two parts, so that many processes go through it side by side.
  void post(Phase phase);
  Result<void> finish(Phase phase);

  // Stops all threads and gives them their registers and masks; nothing of the restore is left in the process.
  Result<void> prepare_to_go();
  // Sends the signal that stops it, if it was stopped before or that is wanted; it takes effect when it is let go.
  Result<void> stop_again(bool wanted) const;
  // Our end does not kill it any more.
  Result<void> outlive_us() const;
  // From here on the process is on its own.
  Result<void> let_go();

  // Waits for the end of every thread, the leader last: its status is told only after the others'.
  void bury();

 private:
  void post_first_calls();
  Batch spawning(size_t first) const;  // of the threads from this one on
  Result<void> stop_all();
  Result<bool> wait_until_it_waits(size_t index);
  Result<void> let_it_sleep(Tid tid) const;
  Result<void> unmap_area();
  Result<uint64_t> find_syscall_instruction() const;

  const Restore* restore_;
  const TaskImage* image_;
  const TaskPlan* plan_;
  Tracer* tracer_;
  Area* area_;
  StagePlace place_;
  uint64_t scratch_;
  std::vector<Puppet> puppets_;  // by thread
  std::vector<Stopped> stopped_;
  std::vector<Tid> tids_;
  std::unique_ptr<procfs::ProcTask> proc_;
  bool first_are_posted_ = false;  // the other threads' calls of Phase::thread
};

}  // namespace cryo
