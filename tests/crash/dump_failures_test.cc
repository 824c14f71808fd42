// Dumps that cannot work: a clear message, exit status 1, a target that goes on, and no checkpoint left behind.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/crash/patient.h"
#include "tests/harness/text.h"

namespace cryo::live {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

class DumpFailuresLive : public testing::Test {
 protected:
  // The log, behind what must have been said about it: exit status 1 and no checkpoint.
  std::string refusal(pid_t pid, const Words& more = {}, const Tool& tool = tool_under_test()) {
    return refusal_in(patient_.files().new_images(), pid, more, tool);
  }
  std::string refusal_in(const std::string& images, pid_t pid, const Words& more = {},
                         const Tool& tool = tool_under_test()) {
    const std::string work = patient_.files().new_images() + "-work";
    std::filesystem::create_directories(work);
    std::filesystem::create_directories(images);
    // What the tool says is kept elsewhere: the images directory may take nothing.
    Words words = {"-t", std::to_string(pid), "-D", images, "-W", work};
    words.insert(words.end(), more.begin(), more.end());
    Result<ToolRun> run = run_tool(tool, "dump", work, words, soon());
    if (!run) return run.error().to_string();
    EXPECT_TRUE(exited_with(run->wait_status, 1)) << run->report();
    EXPECT_FALSE(std::filesystem::exists(images + "/inventory.img"));
    return read_text(work + "/dump.log") + run->output;
  }
  std::string new_directory() {
    const std::string path = patient_.files().new_images();
    std::filesystem::create_directories(path);
    return path;
  }
  std::string script(const std::string& text) {
    const std::string path = patient_.files().new_images() + ".sh";
    std::ofstream(path) << "#!/bin/sh\n" << text;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  void start() { ASSERT_TRUE(patient_.start("waits")); }
  void expect_unharmed() {
    EXPECT_TRUE(patient_.is_unharmed());
    EXPECT_TRUE(patient_.is_alone());
    const Result<void> dumped = patient_.target().dump_and_leave(
        tool_under_test(), patient_.files().new_images(), {}, soon());
    EXPECT_TRUE(dumped) << dumped.error().to_string();
  }

  Patient patient_;
};

class TemporaryFileSystem {
 public:
  TemporaryFileSystem(std::string path, const char* options, unsigned long flags)
      : path_(std::move(path)) {
    works_ = mount("tmpfs", path_.c_str(), "tmpfs", flags, options) == 0;
  }
  ~TemporaryFileSystem() { (void)umount2(path_.c_str(), MNT_DETACH); }
  bool works() const { return works_; }

 private:
  std::string path_;
  bool works_ = false;
};

TEST_F(DumpFailuresLive, disk_full) {
  start();
  const std::string images = new_directory();
  const TemporaryFileSystem disk(images, "size=64k", 0);
  ASSERT_TRUE(disk.works());
  EXPECT_THAT(refusal_in(images, patient_.pid()),
              AllOf(HasSubstr("No space left on device"), HasSubstr("no room")));
  EXPECT_TRUE(std::filesystem::is_empty(images) ||
              !std::filesystem::exists(images + "/pages-1.img"));
  expect_unharmed();
}

TEST_F(DumpFailuresLive, read_only_images) {
  start();
  const std::string images = new_directory();
  const TemporaryFileSystem disk(images, "", MS_RDONLY);
  ASSERT_TRUE(disk.works());
  EXPECT_THAT(refusal_in(images, patient_.pid()), HasSubstr("Read-only file system"));
  expect_unharmed();
}

TEST_F(DumpFailuresLive, no_images_directory) {
  start();
  const std::string images = new_directory();
  Result<ToolRun> run =
      run_tool(tool_under_test(), "dump", images,
               {"-t", std::to_string(patient_.pid()), "-D", images + "/none"}, soon());
  ASSERT_TRUE(run);
  EXPECT_TRUE(exited_with(run->wait_status, 1));
  EXPECT_THAT(run->output,
              AllOf(HasSubstr("No such file or directory"), HasSubstr("images directory")));
  expect_unharmed();
}

TEST_F(DumpFailuresLive, traced_target) {
  start();
  ASSERT_EQ(ptrace(PTRACE_SEIZE, patient_.pid(), 0, 0), 0);
  EXPECT_THAT(refusal(patient_.pid()), HasSubstr(fmt::format("is traced by process {}", getpid())));
  ASSERT_EQ(ptrace(PTRACE_INTERRUPT, patient_.pid(), 0, 0), 0);
  ASSERT_EQ(waitpid(patient_.pid(), nullptr, __WALL), patient_.pid());
  ASSERT_EQ(ptrace(PTRACE_DETACH, patient_.pid(), 0, 0), 0);
  expect_unharmed();
}

TEST_F(DumpFailuresLive, one_thread_traced) {
  start();
  pid_t tid = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", patient_.pid())))
    tid = std::max(tid, std::stoi(entry.path().filename()));
  ASSERT_EQ(ptrace(PTRACE_SEIZE, tid, 0, 0), 0);
  EXPECT_THAT(refusal(patient_.pid()),
              HasSubstr(fmt::format("thread {} is traced by process {}", tid, getpid())));
  ASSERT_EQ(ptrace(PTRACE_INTERRUPT, tid, 0, 0), 0);
  ASSERT_EQ(waitpid(tid, nullptr, __WALL), tid);
  ASSERT_EQ(ptrace(PTRACE_DETACH, tid, 0, 0), 0);
  expect_unharmed();
}

TEST_F(DumpFailuresLive, not_a_process) {
  ASSERT_TRUE(patient_.files().make());
  EXPECT_THAT(refusal(4194303), HasSubstr("there is no process 4194303"));
  EXPECT_THAT(refusal(getpid()), HasSubstr("is an ancestor of cryo"));
  const pid_t zombie = fork();
  if (zombie == 0) _exit(0);
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(zombie), nullptr, WEXITED | WNOWAIT), 0);
  EXPECT_THAT(refusal(zombie), HasSubstr("is a zombie"));
  waitpid(zombie, nullptr, 0);
  if (std::ifstream("/proc/2/comm").good()) {
    EXPECT_THAT(refusal(2), HasSubstr("is a thread of the kernel"));
  }
}

TEST_F(DumpFailuresLive, a_thread_instead_of_its_process) {
  start();
  pid_t tid = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", patient_.pid())))
    tid = std::max(tid, std::stoi(entry.path().filename()));
  EXPECT_THAT(refusal(tid), HasSubstr(fmt::format("is a thread of process {}", patient_.pid())));
  expect_unharmed();
}

TEST_F(DumpFailuresLive, without_privilege) {
  start();
  const std::string images = new_directory();
  std::filesystem::permissions(images, std::filesystem::perms::all);
  const std::string wrapper =
      script(fmt::format("exec setpriv --reuid 65534 --regid 65534 --clear-groups {} \"$@\"\n",
                         tool_under_test().path));
  EXPECT_THAT(refusal_in(images, patient_.pid(), {}, {"cryo", wrapper}), HasSubstr("needs root"));
  expect_unharmed();
}

TEST_F(DumpFailuresLive, script_before_the_dump) {
  start();
  EXPECT_THAT(refusal(patient_.pid(),
                      {"--action-script", script("[ $CRTOOLS_SCRIPT_ACTION != pre-dump ]\n")}),
              HasSubstr("pre-dump scripts failed"));
  expect_unharmed();
}

// The target lives on although it was to be killed.
TEST_F(DumpFailuresLive, asked_to_end_while_frozen) {
  start();
  for (const char* signal : {"INT", "TERM", "HUP"}) {
    const std::string images = new_directory();
    Result<ToolRun> run =
        run_tool(tool_under_test(), "dump", images,
                 {"-t", std::to_string(patient_.pid()), "--action-script",
                  script(fmt::format("[ $CRTOOLS_SCRIPT_ACTION != post-dump ] || kill -{} $PPID\n",
                                     signal))},
                 soon());
    ASSERT_TRUE(run);
    EXPECT_TRUE(exited_with(run->wait_status, 1)) << run->report();
    EXPECT_THAT(run->log, HasSubstr("asked to end by signal"));
    EXPECT_TRUE(patient_.is_unharmed());
  }
  expect_unharmed();
}

TEST_F(DumpFailuresLive, target_killed_before_the_freeze) {
  start();
  Result<ToolRun> run =
      run_tool(tool_under_test(), "dump", new_directory(),
               {"-t", std::to_string(patient_.pid()), "--action-script",
                script("[ $CRTOOLS_SCRIPT_ACTION != pre-dump ] || kill -9 $CRTOOLS_INIT_PID\n")},
               soon());
  ASSERT_TRUE(run);
  EXPECT_TRUE(exited_with(run->wait_status, 1)) << run->report();
}

class RestlessLive : public testing::Test {
 protected:
  void start(const char* habit) {
    ASSERT_NO_FATAL_FAILURE(start_only(habit));
    ASSERT_TRUE(goes_on());
  }
  void start_only(const char* habit) {
    ASSERT_TRUE(files_.make());
    Result<SharedPage> shared = SharedPage::map(files_.path("sync"));
    ASSERT_TRUE(shared);
    shared_.emplace(std::move(shared).value());
    SpawnOptions options;
    options.argv = {CRYO_RESTLESS, files_.directory(), habit};
    options.environment = plain_environment();
    options.new_session = true;
    ASSERT_TRUE(target_.start(options));
  }
  bool goes_on() {
    const uint64_t before = (*shared_)->rounds[0];
    return wait_until([&] { return (*shared_)->rounds[0] > before + 2; }, soon());
  }
  ToolRun dump_it(const Words& more) {
    const std::string images = files_.new_images();
    std::filesystem::create_directories(images);
    Words words = {"-t", std::to_string(target_.pid())};
    words.insert(words.end(), more.begin(), more.end());
    Result<ToolRun> run = run_tool(tool_under_test(), "dump", images, words, soon());
    if (!run) {
      ADD_FAILURE() << run.error().to_string();
      return {};
    }
    EXPECT_EQ(run->worked(), std::filesystem::exists(images + "/inventory.img")) << run->report();
    EXPECT_TRUE(run->worked() || exited_with(run->wait_status, 1)) << run->report();
    return *run;
  }
  ~RestlessLive() override {
    if (HasFailure()) printf("%s\n", files_.keep().c_str());
  }

  TestFiles files_{current_test_name()};
  std::optional<SharedPage> shared_;
  Target target_;
};

TEST_F(RestlessLive, goes_on_whatever_it_does) {
  for (const char* habit : {"exec", "threads", "forks"}) {
    SCOPED_TRACE(habit);
    start(habit);
    int worked = 0;
    for (int i = 0; i < 25; ++i) {
      worked += dump_it({"--leave-running"}).worked() ? 1 : 0;
      ASSERT_TRUE(goes_on()) << "after dump " << i;
    }
    printf("%s: %d of 25 dumps worked\n", habit, worked);
    target_.clean_up();
  }
}

// Its end may come before, during and after the freeze. A dump that met it in time has killed it.
TEST_F(RestlessLive, ends_whenever_it_likes) {
  int worked = 0;
  for (int i = 0; i < 60; ++i) {
    start_only("ends");
    const std::string program = fmt::format("/proc/{}/exe", target_.pid());
    ASSERT_TRUE(wait_until(
        [&] { return target_.process().has_ended() || read_link(program) == CRYO_RESTLESS; },
        soon()));
    const ToolRun run = dump_it({});
    Result<int> status = target_.process().wait(soon());
    ASSERT_TRUE(status) << "after dump " << i;
    EXPECT_TRUE(exited_with(*status, 0) || (WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL))
        << describe_wait_status(*status);
    if (run.worked()) {
      ++worked;
      continue;
    }
    EXPECT_THAT(run.log, AnyOf(HasSubstr("it ended or executed another program"),
                               HasSubstr("there is no process"), HasSubstr("is a zombie"),
                               HasSubstr("has lost its first thread")));
  }
  printf("%d of 60 dumps worked\n", worked);
}

// Somebody kills it at a moment of the dump, when its threads may all be stopped.
TEST_F(RestlessLive, is_killed_by_somebody_else) {
  int worked = 0;
  for (int i = 0; i < 60; ++i) {
    start("threads");
    // Also when the numbers have begun anew since, so that the leader's is not the lowest.
    if (i % 2 != 0) std::ofstream("/proc/sys/kernel/ns_last_pid") << 300;
    std::thread killer([&] {
      usleep(static_cast<useconds_t>(i) * 7919 % 15'000);
      kill(target_.pid(), SIGKILL);
    });
    const ToolRun run = dump_it({"--leave-running"});
    killer.join();
    ASSERT_TRUE(target_.process().wait(soon())) << "after dump " << i;
    worked += run.worked() ? 1 : 0;
    EXPECT_THAT(run.log, Not(HasSubstr("did not stop")));
  }
  printf("%d of 60 dumps worked\n", worked);
}

TEST_F(RestlessLive, in_uninterruptible_sleep_is_given_up_in_time) {
  start("vfork");
  const auto begin = std::chrono::steady_clock::now();
  const ToolRun run = dump_it({"--timeout", "1"});
  EXPECT_TRUE(exited_with(run.wait_status, 1));
  EXPECT_THAT(run.log, AllOf(HasSubstr("did not stop"), HasSubstr("--timeout")));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_TRUE(goes_on());
}

TEST_F(RestlessLive, without_its_first_thread_is_refused) {
  start("headless");
  EXPECT_THAT(dump_it({}).log, HasSubstr("has lost its first thread"));
  EXPECT_TRUE(goes_on());
}

}  // namespace
}  // namespace cryo::live
