// Stage: the half-made task of a restore. Whatever goes wrong, the destructor leaves no process behind (and if we
// are killed, PTRACE_O_EXITKILL and the puppets' robust futex do).
#pragma once

#include <memory>
#include <vector>

#include "plan/restore.h"
#include "procfs/reader.h"
#include "puppet/injection.h"

namespace cryo {

// Parking places for the special mappings that a new task takes along, where neither the coordinator nor the
// image has anything.
Result<std::vector<SpecialMapping>> plan_parking(const std::vector<AddressRange>& taken);

// What the coordinator has mapped, and what the image's task will have: sorted, merged.
Result<std::vector<AddressRange>> taken_ranges(const TaskImage& image);

class Stage {
 public:
  // Makes the leader: a puppet in an otherwise empty address space, with our special mappings parked.
  static Result<std::unique_ptr<Stage>> raise(const Restore& restore, const TaskImage& image,
                                              const TaskPlan& plan, Tracer& tracer);
  ~Stage();
  Stage(const Stage&) = delete;

  Result<void> perform(Phase phase);
  // Registers, masks; from here on the task is on its own (stopped, if that is wanted).
  Result<void> let_go(bool stopped);
  Pid pid() const { return image_->pid(); }

 private:
  Stage(const Restore& restore, const TaskImage& image, const TaskPlan& plan, Tracer& tracer)
      : restore_(&restore), image_(&image), plan_(&plan), tracer_(&tracer) {}
  Result<void> make_area(const std::vector<AddressRange>& taken);
  Result<void> spawn_leader();
  Result<void> empty_address_space();
  Result<void> spawn_threads();
  void post_first_calls();
  Batch spawning(size_t first) const;  // of the threads from this one on
  Result<void> perform_calls(const std::vector<Batch>& calls, Phase phase);
  Result<std::vector<Stopped>> stop_all();
  Result<bool> wait_until_it_waits(size_t index, Stopped& thread);
  Result<void> let_it_sleep(Tid tid) const;
  Result<void> unmap_area(const Stopped& leader);
  Result<uint64_t> find_syscall_instruction() const;
  void kill();

  const Restore* restore_;
  const TaskImage* image_;
  const TaskPlan* plan_;
  Tracer* tracer_;
  std::unique_ptr<CoordinatorLife> life_;
  std::unique_ptr<Area> area_;
  std::vector<Puppet> puppets_;  // by thread
  std::vector<Tid> tids_;
  std::unique_ptr<procfs::ProcTask> proc_;
  bool first_are_posted_ = false;  // the other threads' calls of Phase::thread
  bool alive_ = false;
};

}  // namespace cryo
