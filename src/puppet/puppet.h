// Puppet: the fast back end of SyscallRunner. It posts batches in a slot of the shared area and waits for the
// loop in the task to run them. How the loop got there is the business of Injection (dump) or of the restore.
#pragma once

#include <memory>

#include "puppet/area.h"
#include "puppet/batch.h"
#include "trace/tracer.h"

namespace cryo {

class Puppet final : public SyscallRunner {
 public:
  // `arena_offset` and `arena_size` are this puppet's part of the area's arena.
  Puppet(Area& area, uint32_t slot, Running task, uint64_t arena_offset, uint64_t arena_size)
      : area_(&area),
        slot_(slot),
        task_(task),
        arena_offset_(arena_offset),
        arena_size_(arena_size) {}

  // Precondition of all: the batch fits in the arena; one batch at a time.
  Result<Outcome> run(const Batch& batch) override;
  void post(const Batch& batch);
  Result<Outcome> wait();
  bool idle() const;  // the batch posted last is finished: wait() would return at once
  // The batch posted last ended with a call that does not reply, and this has not returned.
  bool is_under_way() const;

  Running task() const { return task_; }
  uint64_t arena_size() const { return arena_size_; }

 private:
  Result<void> wait_until_done(uint32_t number);

  Area* area_;
  uint32_t slot_;
  Running task_;
  uint64_t arena_offset_, arena_size_;
  uint32_t posted_ = 0;
  uint32_t calls_ = 0;
  uint64_t data_start_ = 0, data_size_ = 0;
};

}  // namespace cryo
