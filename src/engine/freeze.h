// A frozen process. Whatever happens, its threads are let go again: by thaw(), kill(), or the destructor.
#pragma once

#include <vector>

#include "trace/tracer.h"

namespace cryo {

class FrozenProcess {
 public:
  FrozenProcess(Tracer& tracer, Pid pid, std::vector<Stopped> threads)
      : tracer_(&tracer), pid_(pid), threads_(std::move(threads)) {}
  FrozenProcess(FrozenProcess&&) = default;
  FrozenProcess& operator=(FrozenProcess&&) = delete;
  ~FrozenProcess();

  const std::vector<Stopped>& threads() const { return threads_; }

  Result<void> thaw() &&;           // goes on as before
  Result<void> leave_stopped() &&;  // detached, in a group stop
  // Sends the signal; kill() waits for the end. Several processes end side by side.
  Result<void> kill_begin() const;
  // Returns when the process is dead and its parent may reap it.
  Result<void> kill() &&;

 private:
  void detach_all();
  Tracer* tracer_;
  Pid pid_;
  std::vector<Stopped> threads_;
};

}  // namespace cryo
