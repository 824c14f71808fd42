#include "tests/harness/threads.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "tests/harness/process.h"
#include "tests/harness/text.h"

namespace cryo::live {

void Gate::open() {
  open_ = 1;
  syscall(SYS_futex, &open_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

void Gate::wait() {
  while (open_ == 0) syscall(SYS_futex, &open_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
}

Threads::Threads(int count, std::function<void(int)> work) : tids_(static_cast<size_t>(count)) {
  for (int i = 0; i < count; i++) {
    std::atomic<pid_t>& tid = tids_[static_cast<size_t>(i)];
    threads_.emplace_back([i, work, &tid] {
      tid = gettid();
      tid.notify_one();
      work(i);
    });
    tid.wait(0);
  }
}

Threads::~Threads() { join(); }

void Threads::join() {
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

bool Threads::wait_in_syscall(long number) const {
  for (const std::atomic<pid_t>& tid : tids_) {
    if (!live::wait_in_syscall(tid, number)) return false;
  }
  return true;
}

bool wait_in_syscall(pid_t tid, long number) {
  const std::string path = "/proc/self/task/" + std::to_string(tid) + "/syscall";
  const std::string beginning = std::to_string(number) + " ";
  return wait_until([&] { return read_text(path).rfind(beginning, 0) == 0; },
                    deadline_in(std::chrono::seconds(50)));
}

}  // namespace cryo::live
