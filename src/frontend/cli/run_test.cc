// The program as its callers see it: exit statuses, and what goes to standard output, standard error
// and the log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/harness/process.h"
#include "tests/harness/text.h"

namespace cryo::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

using Words = std::vector<std::string>;

// No process has this pid: it is the largest that pid_max allows, plus one.
constexpr const char* kNobody = "4194305";

struct Ran {
  int status = -1;
  std::string out;
  std::string err;
};

class Program : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "cryo_run_" + std::to_string(getpid());
    std::filesystem::create_directories(directory_ + "/images");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // Runs `binary` with `words` in the test's directory; $1 and so on in `shell` are the whole command.
  Ran run(const Words& words, const std::string& shell = "exec \"$@\"",
          const Words& environment = {}, const std::string& binary = CRYO_BINARY) {
    live::SpawnOptions options;
    options.argv = {"/bin/sh", "-c", shell + " >out 2>err", "sh", binary};
    options.argv.insert(options.argv.end(), words.begin(), words.end());
    options.environment = live::plain_environment();
    options.environment.push_back("HOME=" + directory_);
    options.environment.insert(options.environment.end(), environment.begin(), environment.end());
    options.directory = directory_;
    Result<live::Process> process = live::Process::spawn(options);
    if (!process) return {};
    const Result<int> status = process.value().wait(live::deadline_in(std::chrono::seconds(20)));
    EXPECT_TRUE(status);
    Ran ran;
    if (status && WIFEXITED(status.value())) ran.status = WEXITSTATUS(status.value());
    ran.out = text("out");
    ran.err = text("err");
    return ran;
  }
  std::string text(const std::string& name) const {
    return live::read_text(directory_ + "/" + name);
  }
  void write(const std::string& name, const std::string& content) const {
    live::write_text(directory_ + "/" + name, content);
  }

  std::string directory_;
};

TEST_F(Program, SaysItsVersion) {
  for (const char* word : {"--version", "-V"}) {
    const Ran ran = run({word});
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.out, "Version: 4.2\nCryo: " CRYO_VERSION "\n");
    EXPECT_EQ(ran.err, "");
  }
}

TEST_F(Program, HelpsOnStandardOutput) {
  const Ran ran = run({"dump", "-h"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("--images-dir DIR"), HasSubstr("--tcp-established")));
  EXPECT_EQ(ran.err, "");
}

TEST_F(Program, ShowsTheUsageWhenTheCommandLineIsWrong) {
  for (const Words& words :
       {Words{}, Words{"bogus"}, Words{"dump", "--bogus"}, Words{"dump", "-t", "1", "2"}}) {
    const Ran ran = run(words);
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.out, StartsWith("\nUsage:\n  cryo dump"));
    EXPECT_THAT(ran.err, MatchesRegex("Error \\([a-z_]*.cc:[0-9]+\\): [^\n]*\n"));
  }
}

TEST_F(Program, RefusesWhatIsNotThereByName) {
  const Ran option = run({"dump", "-t", kNobody, "--tcp-established", "-o", "log"});
  EXPECT_EQ(option.status, 1);
  EXPECT_EQ(option.out, "");
  EXPECT_THAT(option.err, HasSubstr("option --tcp-established is not supported yet"));
  const Ran command = run({"service"});
  EXPECT_EQ(command.status, 1);
  EXPECT_THAT(command.err, HasSubstr("command service is not supported yet"));
  EXPECT_EQ(run({"show"}).status, 255);
}

TEST_F(Program, LogsToStandardError) {
  const Ran ran = run({"dump", "-t", kNobody, "-D", "images"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, HasSubstr("Error (dump_command.cc:"));
  EXPECT_THAT(ran.err, HasSubstr("): Dumping FAILED.\n"));
}

TEST_F(Program, LogsToAFileInTheWorkDirectory) {
  write("images/log", "old\n");
  const Ran ran = run({"restore", "-D", "images", "-v3", "-o", "log"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out + ran.err, "");
  const std::string log = text("images/log");
  EXPECT_THAT(log, MatchesRegex("\\(00.[0-9]{6}\\) Version: 4.2 [^\n]*\n"
                                "\\(00.[0-9]{6}\\) Running on [^\n]* Linux [^\n]*\n(.|\n)*"));
  EXPECT_THAT(log, HasSubstr("): Restoring FAILED.\n"));
  EXPECT_THAT(log, Not(HasSubstr("old")));
}

TEST_F(Program, MakesALogThatOnlyItsOwnerReads) {
  std::filesystem::create_directory(directory_ + "/elsewhere");
  (void)run({"restore", "-D", "images", "-W", "elsewhere", "-o", "log"});
  struct stat status {};
  ASSERT_EQ(stat((directory_ + "/elsewhere/log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

TEST_F(Program, LogsToStandardOutputForADash) {
  const Ran ran = run({"restore", "-D", "images", "-o", "-"});
  EXPECT_THAT(ran.out, HasSubstr("Restoring FAILED."));
  EXPECT_EQ(ran.err, "");
}

TEST_F(Program, KeepsEarlyLinesForTheLog) {
  const Ran ran = run({"restore", "-t", "5", "-D", "images", "-o", "log"});
  EXPECT_EQ(ran.err, "");
  EXPECT_THAT(text("images/log"), HasSubstr("option --tree has no effect with restore"));
}

// As with CRIU, where it names the root of a mount namespace; those cannot be dumped yet.
TEST_F(Program, TakesARootForADumpWithoutUse) {
  const Ran ran =
      run({"dump", "-t", "2147483647", "--root", "/nowhere", "-D", "images", "-o", "log"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(text("images/log"), HasSubstr("option --root has no effect with dump"));
}

TEST_F(Program, SendsEarlyLinesToStandardErrorWhenThereIsNoLog) {
  const Ran ran = run({"restore", "-t", "5", "-D", "/nonexistent", "-o", "log"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("has no effect"), HasSubstr("openat"), HasSubstr("/nonexistent")));
}

TEST_F(Program, IsSilentAtLevelZero) {
  const Ran ran = run({"restore", "-D", "images", "-v0"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out + ran.err, "");
}

TEST_F(Program, ReadsConfigurationFiles) {
  std::filesystem::create_directory(directory_ + "/.criu");
  write(".criu/default.conf", "log-file home\n");
  write("environment", "verbosity 3\n");
  (void)run({"restore", "-D", "images"}, "exec \"$@\"",
            {"CRIU_CONFIG_FILE=" + directory_ + "/environment"});
  EXPECT_THAT(text("images/home"), HasSubstr("Version: 4.2"));
  EXPECT_THAT(run({"restore", "-D", "images", "--no-default-config"}).err,
              HasSubstr("Restoring FAILED."));
}

TEST_F(Program, ChecksFeatures) {
  const Ran known = run({"check", "--feature", "openat2"});
  EXPECT_EQ(known.status, 0);
  EXPECT_EQ(known.out, "openat2 is supported\n");
  EXPECT_EQ(known.err, "");
  const Ran later = run({"check", "--feature", "tun"});
  EXPECT_EQ(later.status, 1);
  EXPECT_EQ(later.out, "");
  EXPECT_THAT(later.err, MatchesRegex("Warn  \\(.*\\): tun is not supported by cryo yet\n"));
  const Ran unknown = run({"check", "--feature", "bogus"});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.err, HasSubstr("Unknown feature bogus"));
}

TEST_F(Program, ChecksTheKernel) {
  const Ran ran = run({"check"});
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "Looks good.\n");
}

TEST_F(Program, NeedsPrivileges) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give it up";
  std::filesystem::copy(CRYO_BINARY, directory_ + "/cryo");
  const std::string as_nobody =
      "setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all \"$@\"";
  const Ran ran = run({"check"}, as_nobody, {}, directory_ + "/cryo");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.out, HasSubstr("--unprivileged"));
  EXPECT_EQ(ran.err, "");
}

TEST_F(Program, WorksWithClosedDescriptors) {
  EXPECT_EQ(run({"check", "--feature", "openat2"}, "exec 0<&- ; exec \"$@\"").out,
            "openat2 is supported\n");
}

TEST_F(Program, TakesBackTheDirectoryOfAFailedShortDump) {
  const Ran ran = run({"dump", kNobody});
  EXPECT_EQ(ran.status, 1);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/checkpoint-" + kNobody));
}

}  // namespace
}  // namespace cryo::cli
