#include "engine/freeze.h"

#include <csignal>

#include "base/clock.h"

namespace cryo {
namespace {

constexpr uint64_t kPatience = 2'000'000'000;  // ns

}  // namespace

FrozenProcess::~FrozenProcess() { detach_all(); }

void FrozenProcess::detach_all() {
  for (const Stopped& thread : threads_) {
    Stopped stopped = thread;
    if (std::move(stopped).detach()) continue;
    // Dead, or running because something went wrong half way; the kernel detaches it at our end otherwise.
    tracer_->set_deadline(monotonic_ns() + kPatience);
    if (!Running(*tracer_, thread.tid()).interrupt()) continue;
    Result<Stopped> again = Running(*tracer_, thread.tid()).wait_for_interrupt();
    if (again) (void)std::move(again).value().detach();
  }
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

Result<void> FrozenProcess::kill_begin() const { return sys::kill(pid_, SIGKILL); }

Result<void> FrozenProcess::kill() && {
  TRY(kill_begin());
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
