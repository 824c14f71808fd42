#include "plan/stats.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "stats.pb.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

class StatsTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "cryo_stats_" + std::to_string(sys::getpid().value);
    std::filesystem::create_directory(directory_);
    work_ = sys::open(directory_, O_RDONLY | O_DIRECTORY).value();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // The entry behind the two magics and the length.
  pb::stats_entry read(const char* name) {
    const std::string bytes = sys::read_file(work_, name).value();
    constexpr std::string_view kHead("\x40\x59\x10\x55\x06\x33\x09\x57", 8);
    EXPECT_EQ(bytes.substr(0, 8), kHead);
    pb::stats_entry entry;
    EXPECT_EQ(static_cast<size_t>(static_cast<unsigned char>(bytes.at(8))), bytes.size() - 12);
    EXPECT_TRUE(entry.ParseFromString(bytes.substr(12)));
    return entry;
  }

  std::string directory_;
  Fd work_;
};

TEST_F(StatsTest, OfADumpAreAServiceImage) {
  ASSERT_TRUE(write_stats(
      work_, DumpReport{.freezing_us = 1, .frozen_us = 2, .memdump_us = 3, .pages_written = 4}));
  const pb::stats_entry entry = read("stats-dump");
  EXPECT_EQ(entry.dump().freezing_time(), 1U);
  EXPECT_EQ(entry.dump().frozen_time(), 2U);
  EXPECT_EQ(entry.dump().memdump_time(), 3U);
  EXPECT_EQ(entry.dump().pages_written(), 4U);
  EXPECT_FALSE(entry.has_restore());
}

TEST_F(StatsTest, OfARestoreReplaceOlderOnes) {
  ASSERT_TRUE(write_stats(work_, RestoreReport{.pages_restored = 1ULL << 60U}));
  ASSERT_TRUE(write_stats(work_, RestoreReport{.pages_restored = 7, .restore_us = 9}));
  const pb::stats_entry entry = read("stats-restore");
  EXPECT_EQ(entry.restore().pages_restored(), 7U);
  EXPECT_EQ(entry.restore().restore_time(), 9U);
}

TEST(StatsText, HasTheLinesOfCriu) {
  EXPECT_EQ(stats_text(RestoreReport{.pages_restored = 31, .forking_us = 3, .restore_us = 41084}),
            "Displaying restore stats:\nPages compared: 0 (0x0)\nPages skipped COW: 0 (0x0)\n"
            "Pages restored: 31 (0x1f)\nRestore time: 41084 us\nForking time: 3 us\n");
  EXPECT_THAT(stats_text(DumpReport{.freezing_us = 213, .pages_scanned = 58}),
              testing::AllOf(testing::HasSubstr("Freezing time: 213 us\n"),
                             testing::HasSubstr("Memory pages scanned: 58 (0x3a)\n")));
}

}  // namespace
}  // namespace cryo
