// Files from outside of a dump: --inherit-fd and --external file.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/harness/process.h"
#include "tests/harness/test_files.h"
#include "tests/harness/text.h"
#include "tests/harness/tool.h"

namespace cryo::live {
namespace {

// Runs a tool that has `fd` under the number 9. Returns its exit status.
int run(const Tool& tool, Words words, int fd) {
  const pid_t child = fork();
  if (child == 0) {
    if (fd >= 0) dup2(fd, 9);
    std::vector<char*> argv = {const_cast<char*>(tool.path.c_str())};
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string link_of(pid_t pid, int fd) {
  return read_link("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd));
}

// A process with /dev/null three times, `fd` as number 3, and nothing else.
pid_t start_holder(int fd) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int ready[2];
  EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
  const pid_t holder = fork();
  if (holder == 0) {
    setsid();
    const int null = open("/dev/null", O_RDWR);
    for (int number = 0; number < 3; number++) dup2(null, number);
    const int kept = fcntl(fd, F_DUPFD, 100);
    const int tell = fcntl(ready[1], F_DUPFD, 100);
    close_range(3, 99, 0);
    dup2(kept, 3);
    (void)!write(tell, "x", 1);
    close_range(4, ~0U, 0);
    for (;;) pause();
  }
  close(ready[1]);
  char byte = 0;
  EXPECT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(read(ready[0], &byte, 1), 0);  // everything else is closed
  close(ready[0]);
  return holder;
}

class Holder {
 public:
  explicit Holder(int fd) : pid_(start_holder(fd)) {}
  ~Holder() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  void bury() const { waitpid(pid_, nullptr, 0); }

 private:
  pid_t pid_;
};

void move_to_another(int old_end, int new_end, const std::string& key, const Words& dump_options,
                     const std::string& link) {
  TestFiles files("Inherit");
  const std::string images = files.new_images();
  std::filesystem::create_directories(images);
  const Holder holder(old_end);
  Words dump = {"dump", "-t", std::to_string(holder.pid()), "-D", images, "-o", "dump.log"};
  dump.insert(dump.end(), dump_options.begin(), dump_options.end());
  ASSERT_EQ(run(tool_under_test(), dump, -1), 0) << read_text(images + "/dump.log");
  holder.bury();
  const Words restore = {"restore", "-d",          "-D",           images,
                         "-o",      "restore.log", "--inherit-fd", "fd[9]:" + key};
  ASSERT_EQ(run(tool_under_test(), restore, new_end), 0) << read_text(images + "/restore.log");
  EXPECT_EQ(link_of(holder.pid(), 3), link);
}

TEST(InheritLive, pipe_to_outside) {
  int before[2], after[2];
  ASSERT_EQ(pipe2(before, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(after, O_CLOEXEC), 0);
  move_to_another(before[1], after[1], link_of(getpid(), before[1]), {},
                  link_of(getpid(), after[1]));
  for (const int fd : {before[0], before[1], after[0], after[1]}) close(fd);
}

TEST(InheritLive, external_file) {
  TestFiles files("External");
  ASSERT_TRUE(files.make());
  const int before = open(files.path("before").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const int after = open(files.path("after").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct stat st {};
  ASSERT_EQ(fstat(before, &st), 0);
  const std::string info = read_text("/proc/self/fdinfo/" + std::to_string(before));
  const int mount = atoi(info.c_str() + info.find("mnt_id:") + 7);
  const std::string key = fmt::format("file[{:x}:{:x}]", mount, st.st_ino);
  move_to_another(before, after, key, {"--external", key}, files.path("after"));
  close(before);
  close(after);
}

TEST(InheritLive, regular_file_by_its_name) {
  TestFiles files("ByName");
  ASSERT_TRUE(files.make());
  const int before = open(files.path("before").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const int after = open(files.path("after").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  move_to_another(before, after, link_of(getpid(), before).substr(1), {}, files.path("after"));
  close(before);
  close(after);
}

}  // namespace
}  // namespace cryo::live
