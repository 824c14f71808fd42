// The command line with a real process behind it: what each option leaves in files, and what becomes of the process.
#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "cpuinfo.pb.h"
#include "tests/crash/patient.h"
#include "tests/harness/edit_images.h"
#include "tests/harness/text.h"

namespace cryo::live {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class CommandLineLive : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(patient_.start("waits"));
    images_ = patient_.files().new_images();
    fs::create_directories(images_);
  }
  ToolRun run(const std::string& command, const Words& words) {
    Result<ToolRun> run = run_tool(tool_under_test(), command, images_, words, soon());
    EXPECT_TRUE(run);
    return run ? *run : ToolRun();
  }
  ToolRun dump(Words more) {
    more.insert(more.begin(), {"-t", std::to_string(patient_.pid())});
    return run("dump", more);
  }
  std::string script(const std::string& text) {
    const std::string path = patient_.files().path("script");
    std::ofstream(path) << "#!/bin/sh\n" << text;
    fs::permissions(path, fs::perms::owner_all);
    return path;
  }
  char state() { return field("State:")[0]; }
  std::string field(const std::string& name) {
    for (const std::string& line :
         split_lines(read_text(fmt::format("/proc/{}/status", patient_.pid()))))
      if (line.starts_with(name)) return line.substr(name.size() + 1);
    return "?";
  }
  bool stops() {
    return wait_until([&] { return state() == 'T'; }, soon());
  }

  Patient patient_;
  std::string images_;
};

TEST_F(CommandLineLive, leave_stopped) {
  ASSERT_TRUE(dump({"--leave-stopped"}).worked());
  EXPECT_TRUE(stops());
  EXPECT_EQ(field("TracerPid:"), "0");
  kill(patient_.pid(), SIGCONT);
  EXPECT_TRUE(patient_.is_unharmed());
  ASSERT_TRUE(dump({}).worked());
  ASSERT_TRUE(patient_.is_buried());
  ASSERT_TRUE(run("restore", {"-d", "-s"}).worked());
  EXPECT_TRUE(stops());
  kill(patient_.pid(), SIGCONT);
  EXPECT_TRUE(patient_.was_restored());
}

TEST_F(CommandLineLive, explain_and_check_write_nothing) {
  for (const char* command : {"dump", "check"}) {
    const std::string empty = patient_.files().new_images();
    fs::create_directories(empty);
    Words words = {"-D", empty, "-t", std::to_string(patient_.pid())};
    if (command == std::string("dump")) words.emplace_back("--explain");
    Result<ToolRun> asked = run_tool(tool_under_test(), command, images_, words, soon());
    ASSERT_TRUE(asked);
    EXPECT_THAT(asked->output, HasSubstr("can be dumped"));
    for (const auto& entry : fs::directory_iterator(empty))
      EXPECT_EQ(entry.path().extension(), ".log");
  }
  EXPECT_TRUE(patient_.has_noticed_nothing());
}

TEST_F(CommandLineLive, a_failing_script_after_the_dump_keeps_the_process) {
  const std::string log = patient_.files().path("actions");
  const ToolRun failing =
      dump({"--action-script",
            script(fmt::format("echo $CRTOOLS_SCRIPT_ACTION $CRTOOLS_INIT_PID >> {}\n[ "
                               "$CRTOOLS_SCRIPT_ACTION != post-dump ] || exit 7\n",
                               log))});
  EXPECT_TRUE(exited_with(failing.wait_status, 7)) << failing.report();
  EXPECT_EQ(read_text(log), fmt::format("pre-dump {0}\npost-dump {0}\n", patient_.pid()));
  EXPECT_TRUE(patient_.is_unharmed());
}

TEST_F(CommandLineLive, scripts_pidfile_and_work_directory_of_a_restore) {
  const std::string work = patient_.files().path("work");
  fs::create_directories(work);
  const std::string log = patient_.files().path("actions");
  const ToolRun dumped = dump({"-W", work, "--display-stats"});
  ASSERT_TRUE(dumped.worked()) << dumped.report();
  EXPECT_TRUE(fs::exists(work + "/stats-dump"));
  EXPECT_TRUE(fs::exists(work + "/dump.log"));
  EXPECT_FALSE(fs::exists(images_ + "/stats-dump"));
  EXPECT_THAT(dumped.output, HasSubstr("Memory pages written"));
  ASSERT_TRUE(patient_.is_buried());

  const ToolRun restored =
      run("restore",
          {"-d", "-W", work, "--pidfile", "pid", "--action-script",
           script(fmt::format("echo $CRTOOLS_SCRIPT_ACTION $CRTOOLS_INIT_PID >> {}\n", log))});
  ASSERT_TRUE(restored.worked()) << restored.report();
  EXPECT_EQ(read_text(work + "/pid"), std::to_string(patient_.pid()));
  EXPECT_TRUE(fs::exists(work + "/stats-restore"));
  EXPECT_EQ(read_text(log),
            fmt::format("pre-restore\npost-restore {0}\npre-resume {0}\npost-resume {0}\n",
                        patient_.pid()));
  EXPECT_TRUE(patient_.was_restored());
  EXPECT_TRUE(patient_.is_unharmed());
}

TEST_F(CommandLineLive, exec_cmd_becomes_the_parent) {
  ASSERT_TRUE(dump({}).worked());
  ASSERT_TRUE(patient_.is_buried());
  const std::string found = patient_.files().path("children");
  const ToolRun restored = run(
      "restore",
      {"--exec-cmd", "--", "sh", "-c", fmt::format("cat /proc/$$/task/$$/children > {}", found)});
  EXPECT_TRUE(restored.worked()) << restored.report();
  EXPECT_THAT(read_text(found), HasSubstr(std::to_string(patient_.pid())));
  EXPECT_TRUE(patient_.was_restored());
}

TEST_F(CommandLineLive, sibling_is_our_child) {
  ASSERT_TRUE(dump({}).worked());
  ASSERT_TRUE(patient_.is_buried());
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
  ASSERT_TRUE(run("restore", {"-d", "-S"}).worked());
  EXPECT_EQ(field("PPid:"), std::to_string(getpid()));
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  EXPECT_TRUE(patient_.was_restored());
}

TEST_F(CommandLineLive, cpu_capabilities_are_written_and_compared) {
  const ToolRun dumped = dump({"--cpu-cap=all"});
  ASSERT_TRUE(dumped.worked()) << dumped.report();
  EXPECT_TRUE(fs::exists(images_ + "/cpuinfo.img"));
  ASSERT_TRUE(patient_.is_buried());
  const ToolRun restored = run("restore", {"-d", "--cpu-cap=all"});
  EXPECT_TRUE(restored.worked()) << restored.report();
  EXPECT_TRUE(patient_.was_restored());
}

TEST_F(CommandLineLive, an_image_of_a_better_processor_is_refused) {
  const ToolRun dumped = dump({"--cpu-cap=all"});
  ASSERT_TRUE(dumped.worked()) << dumped.report();
  ASSERT_TRUE(patient_.is_buried());
  const auto change = [&](const std::function<void(pb::cpuinfo_x86_entry&)>& with) {
    edit<pb::cpuinfo_entry>(images_, {ImageKind::cpuinfo},
                            [&](std::vector<pb::cpuinfo_entry>& all) {
                              ASSERT_EQ(all.size(), 1U);
                              with(*all[0].mutable_x86_entry(0));
                            });
  };
  const auto expect_refused = [&](const Words& options, const std::string& cause) {
    const ToolRun run = this->run("restore", options);
    EXPECT_TRUE(exited_with(run.wait_status, 1)) << run.report();
    EXPECT_THAT(run.log, AllOf(HasSubstr("this processor cannot run the process"), HasSubstr(cause),
                               HasSubstr("--cpu-cap")));
    EXPECT_TRUE(patient_.is_gone());
  };
  uint32_t stepping = 0;
  change([&](auto& cpu) { stepping = cpu.stepping(), cpu.set_stepping(stepping + 1); });
  expect_refused({"-d", "--cpu-cap=all"}, "and the image comes from");
  change([&](auto& cpu) { cpu.set_stepping(stepping), cpu.set_capability(9, ~0U); });
  expect_refused({"-d"}, "it lacks ");
  expect_refused({"-d", "--cpu-cap=ins"}, "it lacks ");
  change([&](auto& cpu) {
    cpu.set_capability(9, 0);
    cpu.set_xfeatures_mask(cpu.xfeatures_mask() | uint64_t{1} << 50);
  });
  expect_refused({"-d"}, "parts 0x4000000000000 of the extended state");
  EXPECT_TRUE(run("restore", {"-d", "--cpu-cap=none"}).worked());
  EXPECT_TRUE(patient_.was_restored());
}

}  // namespace
}  // namespace cryo::live
