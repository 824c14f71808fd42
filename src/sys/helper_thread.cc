#include "sys/helper_thread.h"

namespace cryo::sys {
namespace {

void* run(void* work) {
  (*static_cast<const std::function<void()>*>(work))();
  return nullptr;
}

}  // namespace

HelperThread::HelperThread(std::function<void()> work) : work_(std::move(work)) {
  running_ = ::pthread_create(&thread_, nullptr, run, &work_) == 0;
  if (!running_) work_();
}

void HelperThread::join() {
  if (running_) (void)::pthread_join(thread_, nullptr);
  running_ = false;
}

}  // namespace cryo::sys
