#include "sys/death_timer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace cryo::sys {
namespace {

int fate_of_child(void (*body)(const DeathTimer&)) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const Result<DeathTimer> timer = DeathTimer::arm(1);
    if (!timer) ::_exit(2);
    body(timer.value());
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

TEST(DeathTimer, KillsAlsoWhatIsStopped) {
  const int status = fate_of_child([](const DeathTimer&) { (void)::raise(SIGSTOP); });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST(DeathTimer, IsHarmlessWhenPaused) {
  const int status = fate_of_child([](const DeathTimer& timer) {
    timer.pause();
    const timespec longer{1, 200'000'000};
    (void)::nanosleep(&longer, nullptr);
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace cryo::sys
