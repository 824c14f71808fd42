// A dump that is killed at any moment does not harm its target.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <random>

#include "tests/crash/patient.h"

namespace cryo::live {
namespace {

struct Attempt {
  std::string images;
  Words options;
};

// A new image directory for each dump: what a killed one has left must not help the next.
Attempt next_dump(Patient& patient, const Words& more) {
  Attempt attempt = {patient.files().new_images(), {"-t", std::to_string(patient.pid())}};
  attempt.options.insert(attempt.options.end(), more.begin(), more.end());
  std::filesystem::create_directories(attempt.images);
  return attempt;
}

class DumpCrashLive : public testing::TestWithParam<const char*> {};

TEST_P(DumpCrashLive, if_not_killed_is_not_noticed) {
  Patient patient;
  ASSERT_TRUE(patient.start(GetParam()));
  for (int i = 0; i < 20; i++) {
    const std::string images = patient.files().new_images();
    const Result<void> dumped = patient.target().dump_and_leave(
        tool_under_test(), images, {}, deadline_in(std::chrono::seconds(30)));
    ASSERT_TRUE(dumped) << dumped.error().to_string();
    ASSERT_TRUE(patient.has_noticed_nothing()) << "dump " << i;
    ASSERT_TRUE(patient.is_alone());
  }
  ASSERT_TRUE(patient.ends_well());
}

TEST_P(DumpCrashLive, at_every_kill_point_leaves_target_unharmed) {
  Patient patient;
  ASSERT_TRUE(patient.start(GetParam()));
  int kill_at = 0;
  for (bool killed = true; killed; kill_at++) {
    SCOPED_TRACE(fmt::format("CRYO_KILL_AT={}", kill_at));
    const Attempt dump = next_dump(patient, {"--leave-running"});
    Result<KilledRun> run = run_killed_at(kill_at, "dump", dump.images, dump.options);
    ASSERT_TRUE(run) << run.error().to_string();
    ASSERT_TRUE(patient.is_unharmed()) << run->run.report();
    ASSERT_TRUE(patient.is_alone());
    killed = run->was_killed;
    std::filesystem::remove_all(dump.images);
  }
  EXPECT_GT(kill_at, 1) << "the tool knows no kill points";
  RecordProperty("kill_points", kill_at - 1);
  ASSERT_TRUE(patient.ends_well());
}

// Without --leave-running: the target may be dead only when its image is complete.
// `stride` 1: at every kill point.
void leaves_target_or_image(const char* set, int stride) {
  Patient patient;
  ASSERT_TRUE(patient.start(set));
  for (int kill_at = 0;; kill_at += stride) {
    SCOPED_TRACE(fmt::format("CRYO_KILL_AT={}", kill_at));
    const Attempt dump = next_dump(patient, {});
    Result<KilledRun> run = run_killed_at(kill_at, "dump", dump.images, dump.options);
    ASSERT_TRUE(run) << run.error().to_string();
    if (run->was_killed && patient.lives_on()) {
      ASSERT_TRUE(patient.is_unharmed()) << run->run.report();
      ASSERT_TRUE(patient.is_alone());
      std::filesystem::remove_all(dump.images);
      continue;
    }
    ASSERT_TRUE(patient.is_buried());
    ASSERT_TRUE(patient.comes_back_from(dump.images)) << run->run.report();
    if (!run->was_killed) break;
  }
  ASSERT_TRUE(patient.ends_well());
}

TEST_P(DumpCrashLive, at_every_kill_point_leaves_target_or_image) {
  leaves_target_or_image(GetParam(), 1);
}

// Each of its processes is dumped as a single one is.
TEST(FamilyCrashLive, at_every_fifth_kill_point_of_a_dump_leaves_it_or_its_image) {
  leaves_target_or_image("family", 5);
}

void at_random_moments_leaves_unharmed(const char* set, int usual_kills) {
  const char* wanted = getenv("CRYO_RANDOM_KILLS");
  const int kills = wanted != nullptr ? atoi(wanted) : usual_kills;
  const char* given_seed = getenv("CRYO_SEED");
  const unsigned seed = given_seed != nullptr ? static_cast<unsigned>(atol(given_seed))
                                              : static_cast<unsigned>(time(nullptr));
  SCOPED_TRACE(fmt::format("CRYO_SEED={}", seed));
  std::minstd_rand random(seed);
  Patient patient;
  ASSERT_TRUE(patient.start(set));

  const Attempt first = next_dump(patient, {"--leave-running"});
  const auto begin = std::chrono::steady_clock::now();
  Result<KilledRun> whole = run_killed_at(-1, "dump", first.images, first.options);
  ASSERT_TRUE(whole) << whole.error().to_string();
  const auto time_of_dump = std::chrono::steady_clock::now() - begin;
  int late = 0;
  for (int kill = 0; kill < kills; kill++) {
    const auto moment = std::chrono::nanoseconds(
        std::uniform_int_distribution<int64_t>(0, time_of_dump.count())(random));
    SCOPED_TRACE(fmt::format("kill {}, after {} us", kill, moment.count() / 1000));
    const Attempt dump = next_dump(patient, {"--leave-running"});
    Result<KilledRun> run = run_killed_after(moment, "dump", dump.images, dump.options);
    ASSERT_TRUE(run) << run.error().to_string();
    ASSERT_TRUE(patient.is_unharmed()) << run->run.report();
    ASSERT_TRUE(patient.is_alone());
    late += run->was_killed ? 0 : 1;
    std::filesystem::remove_all(dump.images);
  }
  testing::Test::RecordProperty("dumps_that_ended_before", late);
  ASSERT_TRUE(patient.ends_well());
}

TEST_P(DumpCrashLive, at_random_moments_leaves_target_unharmed) {
  at_random_moments_leaves_unharmed(GetParam(), 500);  // 1,000 with both sets
}

TEST(FamilyCrashLive, at_random_moments_of_a_dump_is_unharmed) {
  at_random_moments_leaves_unharmed("family", 100);
}

INSTANTIATE_TEST_SUITE_P(Workers, DumpCrashLive, testing::Values("waits", "signals"),
                         [](const auto& set) { return std::string(set.param); });

}  // namespace
}  // namespace cryo::live
