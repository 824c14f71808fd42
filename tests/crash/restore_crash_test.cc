// A restore that is killed at any moment leaves nothing behind, and the next one works.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/crash/patient.h"

namespace cryo::live {
namespace {

class RestoreCrashLive : public testing::TestWithParam<const char*> {};

TEST_P(RestoreCrashLive, at_every_kill_point_leaves_nothing) {
  Patient patient;
  ASSERT_TRUE(patient.start(GetParam()));
  const std::string images = patient.files().new_images();
  const Result<void> dumped = patient.target().dump_and_kill(tool_under_test(), images, {},
                                                             deadline_in(std::chrono::seconds(30)));
  ASSERT_TRUE(dumped) << dumped.error().to_string();

  int kill_at = 0;
  for (;; kill_at++) {
    SCOPED_TRACE(fmt::format("CRYO_KILL_AT={}", kill_at));
    Result<KilledRun> run = run_killed_at(kill_at, "restore", images, {"--restore-detached"});
    ASSERT_TRUE(run) << run.error().to_string();
    const bool is_restored = patient.was_restored();
    if (!run->was_killed) {
      ASSERT_TRUE(is_restored) << run->run.report();
      break;
    }
    // It may have been killed when all was done.
    if (is_restored) {
      ASSERT_TRUE(patient.is_unharmed()) << run->run.report();
      ASSERT_TRUE(patient.is_buried());
    }
    ASSERT_TRUE(patient.is_gone());
  }
  EXPECT_GT(kill_at, 0) << "the tool knows no kill points";
  RecordProperty("kill_points", kill_at);
  ASSERT_TRUE(patient.is_unharmed());
  ASSERT_TRUE(patient.ends_well());
}

INSTANTIATE_TEST_SUITE_P(Workers, RestoreCrashLive, testing::Values("waits", "signals", "family"),
                         [](const auto& set) { return std::string(set.param); });

}  // namespace
}  // namespace cryo::live
