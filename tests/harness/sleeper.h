// A thread of a victim that sleeps in one system call while checkpoints happen.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cerrno>
#include <functional>

#include "tests/harness/threads.h"

namespace cryo::live {

// One thread in `call`, its result and errno.
class Sleeper {
 public:
  Sleeper(long nr, std::function<long()> call)
      : nr_(nr), threads_(1, [this, call](int) {
          result_ = call();
          error_ = errno;
          done_ = true;
        }) {}
  [[nodiscard]] bool asleep() { return threads_.wait_in_syscall(nr_); }
  pid_t tid() const { return threads_.tid(0); }
  bool done() const { return done_; }
  long result() {
    threads_.join();
    return result_;
  }
  int error() const { return error_; }

 private:
  long nr_;
  std::atomic<long> result_{0};
  std::atomic<int> error_{0};
  std::atomic<bool> done_{false};
  live::Threads threads_;
};

}  // namespace cryo::live
