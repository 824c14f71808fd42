// Child processes for the bodies of live tests.
#pragma once

#include <sys/types.h>

#include <functional>

namespace cryo::live {

// A process that runs work() and ends. `work` may use EXPECT; what fails there fails join().
//
//   Child child([&] { wait_for(pipe); });
//   ASSERT_TRUE(child.wait_in_syscall(SYS_read));
//   checkpoint();
//   ...
//   child.join();
class Child {
 public:
  explicit Child(const std::function<void()>& work);
  // Whoever left its parent's work before join() takes the child along.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  // Returns when it sleeps in this system call: false if that takes too long.
  [[nodiscard]] bool wait_in_syscall(long number) const;
  // EXPECTs that it ends as it should.
  void join();
  // The wait status.
  int wait();

 private:
  pid_t pid_;
};

// For processes that are not children: /proc/PID/syscall.
[[nodiscard]] bool process_waits_in_syscall(pid_t pid, long number);

}  // namespace cryo::live
