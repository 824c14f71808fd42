// That a live test fails when it should: runs this program on tests that are wrong on purpose,
// which exist only when $CRYO_SELFTEST is set.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/text.h"

namespace cryo::live {
namespace {

constexpr const char* kSelftest = "CRYO_SELFTEST";

struct WrongBody : Body {
  void (*action)(WrongBody&) = nullptr;
  void run() override { action(*this); }
  void pass_checkpoint() { checkpoint(); }
  static Trait skipped(std::vector<std::string> variants) {
    return except(std::move(variants), "said so");
  }
};

void add(const char* name, void (*action)(WrongBody&), const std::vector<Trait>& traits = {}) {
  add_checkpoint_tests({"Selftest", name, __FILE__, __LINE__}, traits, [action] {
    auto body = std::make_unique<WrongBody>();
    body->action = action;
    return body;
  });
}

[[maybe_unused]] const bool added = [] {
  if (getenv(kSelftest) == nullptr) return false;
  add("expects_wrongly", [](WrongBody& body) {
    body.pass_checkpoint();
    EXPECT_EQ(1 + 1, 3) << "told to the parent";
  });
  add("dies", [](WrongBody&) { abort(); });
  add("ends_too_early", [](WrongBody&) { _exit(0); });
  add("forgets", [](WrongBody&) {});
  add("leaves_child", [](WrongBody& body) {
    body.pass_checkpoint();
    if (fork() == 0) pause();
  });
  add("skips", [](WrongBody&) { GTEST_SKIP() << "not today"; });
  add("excepted", [](WrongBody& body) { body.pass_checkpoint(); }, {WrongBody::skipped({"off"})});
  return true;
}();

struct Wrong {
  std::string name;
  std::string told;
  int exit_code = 1;
};

class SelftestOfLiveTests : public testing::TestWithParam<Wrong> {};

TEST_P(SelftestOfLiveTests, Tells) {
  const std::string directory = testing::TempDir() + "cryo-selftest-" + std::to_string(getpid());
  std::filesystem::create_directories(directory);
  SpawnOptions options;
  options.argv = {read_link("/proc/self/exe"),
                  "--gtest_filter=SelftestLive." + GetParam().name + "_off"};
  options.environment = plain_environment();
  options.environment.push_back(std::string(kSelftest) + "=1");
  options.output = directory + "/output";
  Result<Process> program = Process::spawn(options);
  ASSERT_TRUE(program);
  const Result<int> status = program->wait(deadline_in(std::chrono::seconds(30)));
  ASSERT_TRUE(status);
  const std::string output = read_text(options.output);
  EXPECT_TRUE(exited_with(status.value(), GetParam().exit_code)) << output;
  EXPECT_THAT(output, testing::HasSubstr(GetParam().told));
  if (GetParam().exit_code != 0) {
    EXPECT_THAT(output, testing::HasSubstr("repeat with: ")) << output;
  }
  std::filesystem::remove_all(directory);
  std::filesystem::remove_all(std::string(CRYO_BUILD_DIR) + "/failed/SelftestLive." +
                              GetParam().name + "_off");
}

INSTANTIATE_TEST_SUITE_P(Live, SelftestOfLiveTests,
                         testing::Values(Wrong{"expects_wrongly", "told to the parent"},
                                         Wrong{"dies", "killed by signal 6"},
                                         Wrong{"ends_too_early", "ended too early: exit status 0"},
                                         Wrong{"forgets", "never called checkpoint()"},
                                         Wrong{"leaves_child", "left 1 processes behind"},
                                         Wrong{"skips", "not today", 0},
                                         Wrong{"excepted", "said so", 0}),
                         [](const testing::TestParamInfo<Wrong>& wrong) {
                           return wrong.param.name;
                         });

}  // namespace
}  // namespace cryo::live
