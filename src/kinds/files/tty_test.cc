// The terminal of the shell: a "shell" on a terminal of its own starts a job, dumps it and restores it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "tests/harness/test_files.h"
#include "tests/harness/tool.h"

namespace cryo::live {
namespace {

constexpr std::chrono::seconds kTimeLimit{20};

// The job: echoes lines, and says whether it is in the foreground.
[[noreturn]] void be_job() {
  setpgid(0, 0);
  dprintf(1, "ready\n");
  char line[100] = {};
  for (;;) {
    const ssize_t size = read(0, line, sizeof line - 1);
    if (size <= 0) _exit(0);
    line[size] = 0;
    dprintf(1, "got %s in the %s\n", strtok(line, "\n"),
            tcgetpgrp(0) == getpgrp() ? "foreground" : "background");
  }
}

// The shell: its commands come through a pipe, so that they are not mixed up with what the job reads.
[[noreturn]] void be_shell(const Tool& dumper, const Tool& restorer, const std::string& images,
                           int go) {
  const sighandler_t ignored = signal(SIGTTOU, SIG_IGN);
  const pid_t job = fork();
  if (job == 0) {
    signal(SIGTTOU, ignored);
    close(go);
    be_job();
  }
  setpgid(job, job);
  tcsetpgrp(0, job);
  char byte = 0;
  (void)!read(go, &byte, 1);
  const Words dump = {dumper.path, "dump", "-t", std::to_string(job), "-D",
                      images,      "-j",   "-o", "dump.log",          "-v4"};
  const Words restore = {restorer.path, "restore", "-d",          "-D", images,
                         "-j",          "-o",      "restore.log", "-v4"};
  for (const Words& words : {dump, restore}) {
    const pid_t child = fork();
    if (child == 0) {
      std::vector<char*> argv;
      for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
      argv.push_back(nullptr);
      close(go);
      execv(argv[0], argv.data());
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (words[1] == "dump") waitpid(job, nullptr, 0);
    dprintf(1, "%s: %d\n", words[1].c_str(), status);
  }
  (void)!read(go, &byte, 1);
  kill(job, SIGKILL);
  _exit(0);
}

class Terminal {
 public:
  explicit Terminal(int master) : master_(master) {}
  // Reads until `text` has appeared; false when time is up.
  bool wait_for(const std::string& text) {
    const Deadline deadline = deadline_in(kTimeLimit);
    while (seen_.find(text) == std::string::npos) {
      pollfd one = {master_, POLLIN, 0};
      if (poll(&one, 1, milliseconds_left(deadline)) != 1) return false;
      char part[512];
      const ssize_t size = read(master_, part, sizeof part);
      if (size <= 0) return false;
      seen_.append(part, static_cast<size_t>(size));
    }
    return true;
  }
  void type(const std::string& text) const {
    ASSERT_EQ(write(master_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  const std::string& seen() const { return seen_; }

 private:
  int master_;
  std::string seen_;
};

void run_shell_job(const Tool& dumper, const Tool& restorer) {
  TestFiles files("ShellJob");
  const std::string images = files.new_images();
  std::filesystem::create_directories(images);
  int go[2];
  ASSERT_EQ(pipe2(go, O_CLOEXEC), 0);
  int master = -1;
  const pid_t shell = forkpty(&master, nullptr, nullptr, nullptr);
  ASSERT_GE(shell, 0);
  if (shell == 0) {
    close_range(3, static_cast<unsigned>(go[0]) - 1, 0);
    close_range(static_cast<unsigned>(go[0]) + 1, ~0U, 0);
    fcntl(go[0], F_SETFD, 0);
    be_shell(dumper, restorer, images, go[0]);
  }
  Terminal terminal(master);
  EXPECT_TRUE(terminal.wait_for("ready"));
  terminal.type("one\n");
  EXPECT_TRUE(terminal.wait_for("got one in the foreground"));
  ASSERT_EQ(write(go[1], "d", 1), 1);
  EXPECT_TRUE(terminal.wait_for("dump: 0")) << terminal.seen();
  ASSERT_TRUE(terminal.wait_for("restore: ")) << terminal.seen();
  EXPECT_TRUE(terminal.wait_for("restore: 0\r")) << terminal.seen();
  terminal.type("two\n");
  EXPECT_TRUE(terminal.wait_for("got two in the foreground")) << terminal.seen();
  ASSERT_EQ(write(go[1], "e", 1), 1);
  waitpid(shell, nullptr, 0);
  close(master);
  close(go[0]);
  close(go[1]);
}

TEST(ShellJobLive, restore) { run_shell_job(tool_under_test(), tool_under_test()); }

TEST(ShellJobLive, peer_restores_ours) {
  if (!peer()) GTEST_SKIP() << "CRIU is not installed";
  run_shell_job(tool_under_test(), *peer());
}

TEST(ShellJobLive, we_restore_peers) {
  if (!peer()) GTEST_SKIP() << "CRIU is not installed";
  run_shell_job(*peer(), tool_under_test());
}

}  // namespace
}  // namespace cryo::live
