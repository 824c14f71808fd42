#include "engine/freeze.h"

#include <csignal>

namespace cryo {

FrozenProcess::~FrozenProcess() { detach_all(); }

void FrozenProcess::detach_all() {
  for (Stopped& thread : threads_) (void)std::move(thread).detach();
  threads_.clear();
}

Result<void> FrozenProcess::thaw() && {
  detach_all();
  return {};
}

Result<void> FrozenProcess::leave_stopped() && {
  // Pending while every thread is traced: the first one that is let go takes it.
  TRY(sys::kill(pid_, SIGSTOP));
  detach_all();
  return {};
}

Result<void> FrozenProcess::kill() && {
  TRY(sys::kill(pid_, SIGKILL));
  // The leader last: its status is reported only when the other (traced) threads have been waited for.
  for (size_t i = threads_.size(); i-- > 0;) {
    for (;;) {
      const Result<sys::WaitStatus> status = tracer_->wait(threads_[i].tid());
      if (!status || status.value().dead()) break;
    }
  }
  threads_.clear();
  return {};
}

}  // namespace cryo
