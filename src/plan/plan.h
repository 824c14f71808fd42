// Plan: what a restore does to a task, as data. Kinds append to it (compile), the engine performs it phase by
// phase, `restore --explain` prints it. Compiling has no side effects.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "plan/phase.h"
#include "puppet/batch.h"
#include "puppet/puppet.h"

namespace cryo {

class Log;

constexpr uint64_t kScratchSize = 256 << 10;

// The half-made task, as a step of the coordinator sees it. Its puppets wait; everything may be read.
struct TaskStage {
  Pid pid;                       // as the coordinator's pid namespace has it
  FdRef proc;                    // /proc/PID
  const std::vector<Tid>& tids;  // of all threads (known from Phase::spawn on), leader first
  Puppet& leader;                // runs batches in the leader
  uint64_t scratch;              // kScratchSize bytes of the task's that hold nothing
  Log& log;
};

// Something the coordinator itself does, from outside the task.
struct HostStep {
  std::string what;  // "write 100 to oom_score_adj"
  std::function<Result<void>(TaskStage&)> perform;
};

class TaskPlan {
 public:
  explicit TaskPlan(size_t threads) : threads_(threads) {}

  // The calls of the leader, or of thread `index` (0 is the leader), in a phase. Threads other than the leader
  // exist from Phase::thread on.
  Batch& calls(Phase phase, size_t index = 0);
  void host(Phase phase, std::string what, std::function<Result<void>(TaskStage&)> perform);

  // When everything is planned: a thread that does nothing between Phase::thread and Phase::wait begins to wait as soon
  // as it can. To wake each of a thousand threads once more is a good part of their restore.
  void join_waits();

  struct PhaseSteps {
    std::vector<Batch> calls;  // by thread; may be shorter than the number of threads
    std::vector<HostStep> host;
    bool empty() const;
  };
  PhaseSteps& steps(Phase phase) { return phases_[static_cast<size_t>(phase)]; }
  const PhaseSteps& steps(Phase phase) const { return phases_[static_cast<size_t>(phase)]; }
  size_t threads() const { return threads_; }
  // Bytes that the largest batch of the leader, and of any other thread, takes.
  uint64_t largest_leader_batch() const;
  uint64_t largest_thread_batch() const;
  std::string describe() const;

 private:
  size_t threads_;
  std::array<PhaseSteps, kPhases> phases_;
};

}  // namespace cryo
