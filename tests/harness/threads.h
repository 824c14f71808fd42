// Threads for the bodies of live tests.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace cryo::live {

// A door that opens once. Waiting is one futex call without a timeout.
class Gate {
 public:
  void open();
  void wait();

 private:
  std::atomic<uint32_t> open_{0};
};

// N threads running work(index). They may use EXPECT, and ASSERT to leave `work`.
//
//   Gate go;
//   Threads threads(8, [&](int i) { go.wait(); EXPECT_EQ(...); });
//   threads.wait_in_syscall(SYS_futex);
//   checkpoint();
//   go.open();
//   threads.join();
class Threads {
 public:
  Threads(int count, std::function<void(int)> work);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  pid_t tid(int index) const { return tids_[static_cast<size_t>(index)]; }
  // Returns when every thread sleeps in this system call: false if that takes over ten seconds.
  [[nodiscard]] bool wait_in_syscall(long number) const;
  void join();

 private:
  std::vector<std::atomic<pid_t>> tids_;
  std::vector<std::thread> threads_;
};

// The same for one thread of this process.
[[nodiscard]] bool wait_in_syscall(pid_t tid, long number);

}  // namespace cryo::live
