// Descriptors for a puppet: a description of ours appears in the fd table of the task for a while.
//
// No path, namespace or permission of the task takes part: it makes a socket pair, we take one end out of it
// (pidfd_getfd) and send the descriptor through. The puppet notes each descriptor in the same step that makes it,
// so they are closed whenever we die.
#pragma once

#include <optional>
#include <utility>

#include "base/fd.h"
#include "base/ids.h"
#include "puppet/batch.h"

namespace cryo {

class RemoteFd {
 public:
  // None when the task cannot have one (its fd table is full, say): it is as before, and others ways are to be taken.
  // `task` must outlive what is returned.
  static Result<std::optional<RemoteFd>> send(SyscallRunner& task, Pid pid, FdRef fd);
  RemoteFd(RemoteFd&& other) noexcept
      : task_(other.task_), number_(std::exchange(other.number_, -1)) {}
  RemoteFd& operator=(RemoteFd&&) = delete;
  ~RemoteFd();

  int number() const { return number_; }
  Result<void> close() &&;

 private:
  RemoteFd(SyscallRunner& task, int number) : task_(&task), number_(number) {}
  SyscallRunner* task_;
  int number_;
};

}  // namespace cryo
