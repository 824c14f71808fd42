// --unprivileged: a user who is not root dumps and restores processes of his own, with CAP_CHECKPOINT_RESTORE and
// CAP_SYS_PTRACE only; and is told what he may not.
#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/harness/scratch_dir.h"
#include "tests/harness/target.h"
#include "tests/harness/text.h"

namespace cryo::live {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr uid_t kUser = 65534;

class UnprivilegedLive : public testing::Test {
 protected:
  // A build directory may lie where no other user gets to: what the user needs is copied to where he does.
  void SetUp() override {
    fs::permissions(directory_.path(), fs::perms::all);
    fs::copy_file(tool_under_test().path, path("cryo"));
    fs::copy_file(CRYO_BUILD_DIR "/tests/programs/counter-static", path("program"));
    fs::create_directories(images());
    fs::permissions(images(), fs::perms::all);
    std::ofstream(path("output")).flush();
    fs::permissions(path("output"), fs::perms(0666));
  }
  void TearDown() override { target_.clean_up(); }
  std::string path(const std::string& name) const { return directory_.path() / name; }
  std::string images() const { return path("images"); }

  // What starts a program as that user; `capabilities` as in "+sys_ptrace,+cap_40".
  static Words as_user(const std::string& capabilities) {
    Words words = {
        "setpriv",       "--reuid", std::to_string(kUser), "--regid", std::to_string(kUser),
        "--clear-groups"};
    if (capabilities.empty()) return words;
    for (const char* set : {"--inh-caps", "--ambient-caps"}) {
      words.emplace_back(set);
      words.emplace_back(capabilities);
    }
    return words;
  }
  void start(Words argv) {
    argv.emplace_back(path("program"));
    SpawnOptions options;
    options.argv = argv;
    options.environment = plain_environment();
    options.directory = directory_.path();
    options.output = path("output");
    options.new_session = true;
    const Result<void> started = target_.start(options);
    ASSERT_TRUE(started) << started.error().to_string();
    ASSERT_TRUE(goes_on());
  }
  bool goes_on() {
    const std::string before = read_text(path("output"));
    return wait_until([&] { return read_text(path("output")).size() > before.size(); }, soon());
  }
  // cryo as that user; setpriv does not look at what follows the program's name.
  ToolRun run(const std::string& capabilities, const std::string& command, const Words& more) {
    const std::string script = path("as-user");
    std::ofstream(script) << fmt::format("#!/bin/sh\nexec {} {} \"$@\"\n",
                                         fmt::join(as_user(capabilities), " "), path("cryo"));
    fs::permissions(script, fs::perms(0755));
    fs::remove(images() + "/" + command + ".log");
    Words words = more;
    words.emplace_back("--unprivileged");
    Result<ToolRun> run = run_tool({"cryo", script}, command, images(), words, soon());
    EXPECT_TRUE(run);
    return run ? *run : ToolRun();
  }
  ToolRun dump(const std::string& capabilities, Words more = {}) {
    more.insert(more.begin(), {"-t", std::to_string(target_.pid())});
    return run(capabilities, "dump", more);
  }
  void expect_refused(const ToolRun& run, const std::string& cause, const std::string& remedy) {
    EXPECT_TRUE(exited_with(run.wait_status, 1)) << run.report();
    EXPECT_THAT(run.log + run.output, AllOf(HasSubstr(cause), HasSubstr(remedy)));
  }
  void expect_end() {
    std::ofstream(path("may-end")).flush();
    Result<int> status = target_.process().wait(soon());
    ASSERT_TRUE(status) << status.error().to_string();
    EXPECT_TRUE(exited_with(*status, 0)) << describe_wait_status(*status);
    EXPECT_THAT(read_text(path("output")), AllOf(HasSubstr("right\n"), Not(HasSubstr("wrong"))));
  }
  // The process was killed by the dump.
  void adopt_restored() {
    Result<Process> restored = Process::adopt(target_.pid());
    ASSERT_TRUE(restored) << restored.error().to_string();
    target_.process() = std::move(*restored);
  }
  void bury() { ASSERT_TRUE(target_.process().wait(soon())); }

  static constexpr const char* kBoth = "+cap_40,+sys_ptrace";
  static constexpr const char* kCheckpointOnly = "+cap_40";
  ScratchDir directory_;
  Target target_;
};

TEST_F(UnprivilegedLive, dumps_and_restores_its_own_process) {
  start(as_user(""));
  for (const char* capabilities : {kBoth, kCheckpointOnly}) {
    SCOPED_TRACE(capabilities);
    const ToolRun left = dump(capabilities, {"--leave-running"});
    ASSERT_TRUE(left.worked()) << left.report();
    EXPECT_TRUE(goes_on());
    const ToolRun dumped = dump(capabilities);
    ASSERT_TRUE(dumped.worked()) << dumped.report();
    bury();
    const ToolRun restored = run(capabilities, "restore", {"-d"});
    ASSERT_TRUE(restored.worked()) << restored.report();
    adopt_restored();
    EXPECT_TRUE(goes_on());
  }
  expect_end();
}

TEST_F(UnprivilegedLive, is_refused_a_process_of_root) {
  start({"env"});
  expect_refused(dump(kBoth), "belongs to user 0, and cryo runs as user 65534", "run cryo as root");
  expect_refused(dump(kCheckpointOnly), "belongs to user 0", "run cryo as root");
  expect_refused(dump(""), "needs root", "CAP_CHECKPOINT_RESTORE");
  EXPECT_FALSE(fs::exists(images() + "/inventory.img"));
  EXPECT_TRUE(goes_on());
  expect_end();
}

TEST_F(UnprivilegedLive, is_refused_a_process_with_more_rights_than_it_has) {
  start(as_user("+net_admin"));
  expect_refused(dump(kCheckpointOnly), "hides its state", "CAP_SYS_PTRACE");
  EXPECT_FALSE(fs::exists(images() + "/inventory.img"));
  EXPECT_TRUE(goes_on());
  ASSERT_TRUE(dump(kBoth).worked());
  bury();
  expect_refused(run(kBoth, "restore", {"-d"}), "capabilities that cryo has not",
                 "run the restore");
}

TEST_F(UnprivilegedLive, is_refused_to_become_another_user) {
  start({"setpriv", "--reuid", "1", "--regid", std::to_string(kUser), "--clear-groups"});
  Result<ToolRun> dumped = live::dump(tool_under_test(), target_.pid(), images(), {}, soon());
  ASSERT_TRUE(dumped && dumped->worked());
  bury();
  for (const auto& entry : fs::directory_iterator(images()))
    fs::permissions(entry.path(), fs::perms(0666));
  expect_refused(run(kBoth, "restore", {"-d"}), "belongs to user 1/1/1/1",
                 "run the restore as root");
}

TEST_F(UnprivilegedLive, is_refused_a_directory_that_it_may_not_write) {
  start(as_user(""));
  fs::permissions(images(), fs::perms(0755));
  const ToolRun run = dump(kBoth, {"-o", "-"});
  expect_refused(run, "Permission denied", "the images directory");
  EXPECT_FALSE(fs::exists(images() + "/inventory.img"));
  EXPECT_TRUE(goes_on());
  expect_end();
}

TEST_F(UnprivilegedLive, is_refused_files_that_it_may_not_open) {
  start(as_user(""));
  ASSERT_TRUE(dump(kBoth).worked());
  bury();
  fs::permissions(path("output"), fs::perms(0600));
  expect_refused(run(kBoth, "restore", {"-d", "--skip-file-rwx-check"}), "Permission denied",
                 "user 65534 may not open it");
  fs::permissions(path("output"), fs::perms(0666));
  ASSERT_TRUE(run(kBoth, "restore", {"-d"}).worked());
  adopt_restored();
  expect_end();
}

}  // namespace
}  // namespace cryo::live
