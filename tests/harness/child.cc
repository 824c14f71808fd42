#include "tests/harness/child.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "tests/harness/process.h"
#include "tests/harness/text.h"

namespace cryo::live {

Child::Child(const std::function<void()>& work) {
  std::fflush(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  work();
  std::fflush(nullptr);
  _exit(testing::Test::HasFailure() ? 1 : 0);
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  wait();
}

bool Child::wait_in_syscall(long number) const { return process_waits_in_syscall(pid_, number); }

void Child::join() { EXPECT_EQ(wait(), 0) << "of a child"; }

int Child::wait() {
  int status = -1;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
  return status;
}

bool process_waits_in_syscall(pid_t pid, long number) {
  const std::string path = "/proc/" + std::to_string(pid) + "/syscall";
  const std::string beginning = std::to_string(number) + " ";
  return wait_until([&] { return read_text(path).rfind(beginning, 0) == 0; },
                    deadline_in(std::chrono::seconds(50)));
}

}  // namespace cryo::live
