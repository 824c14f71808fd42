// A second thread of ours for a piece of work that needs nothing of the first one.
#pragma once

#include <pthread.h>

#include <functional>

namespace cryo::sys {

class HelperThread {
 public:
  // Begins at once; when there can be no thread, `work` is done here and now.
  explicit HelperThread(std::function<void()> work);
  HelperThread(const HelperThread&) = delete;
  HelperThread& operator=(const HelperThread&) = delete;
  ~HelperThread() { join(); }
  // When the work is done.
  void join();

 private:
  std::function<void()> work_;
  pthread_t thread_{};
  bool running_ = false;
};

}  // namespace cryo::sys
