// Processes that tests start or adopt, and waiting for them with a deadline.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace cryo::live {

using Deadline = std::chrono::steady_clock::time_point;
Deadline deadline_in(std::chrono::milliseconds time);
// For what takes a second at most: who has not done it by then hangs.
Deadline soon();
// Milliseconds left, as poll() wants them; 0 when the deadline has passed.
int milliseconds_left(Deadline deadline);

// Asks `condition` again and again, giving the CPU away in between, until it holds (true) or time
// is up. For states that the kernel announces to nobody, such as "this thread sleeps in poll".
bool wait_until(const std::function<bool()>& condition, Deadline deadline);

struct SpawnOptions {
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // the whole of it
  std::string directory;                 // working directory; empty: the caller's
  std::string input = "/dev/null";
  std::string output = "/dev/null";  // stdout and stderr, created when missing and appended to
  bool new_session = false;
  bool dies_with_parent = false;
};

// PATH and what is needed to run the same way as the tests do, without what varies between
// machines.
std::vector<std::string> plain_environment();

// A process that this one will have to reap: a child, or a restored one that came to the subreaper.
// The destructor kills and reaps it.
class Process {
 public:
  Process() = default;
  static Result<Process> spawn(const SpawnOptions& options);
  static Result<Process> adopt(pid_t pid);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  pid_t pid() const { return pid_; }
  explicit operator bool() const { return pid_ > 0; }
  bool has_ended() const;
  // The wait status. An error of kind `gone` when it is not our child.
  Result<int> wait(Deadline deadline);
  void kill_and_reap();
  void send_signal(int signal) const;

 private:
  Process(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid_ = -1;
  Fd pidfd_;
};

// "exit status 1", "killed by signal 11 (Segmentation fault)".
std::string describe_wait_status(int status);
bool exited_with(int status, int code);

// Everybody below a process, parents before their children.
std::vector<pid_t> descendants_of(pid_t pid);
// Kills and reaps those of `pids` that are still there. Precondition: parents first, and the parent of the first ones
// is us, or dead.
void bury_all(const std::vector<pid_t>& pids);

// Kills and reaps every child of ours that belongs to `session`; returns how many there were.
int kill_session(pid_t session);

}  // namespace cryo::live
