#include "procfs/locks.h"

#include <gtest/gtest.h>

namespace cryo::procfs {
namespace {

TEST(Locks, are_read_from_proc_locks) {
  const Result<std::vector<FileLock>> locks = parse_locks(
      "1: OFDLCK ADVISORY  WRITE -1 fe:00:10969373 3 6\n"
      "2: FLOCK  ADVISORY  READ 6821 fe:00:10969372 0 EOF\n"
      "3: POSIX  ADVISORY  WRITE 6821 fe:1a:10969363 5 14\n"
      "3: -> POSIX  ADVISORY  READ 6830 fe:1a:10969363 0 9223372036854775806\n"
      "4: LEASE  BREAKING  WRITE 6958 fe:00:10969374 0 EOF\n");
  ASSERT_TRUE(locks) << locks.error().to_string();
  ASSERT_EQ(locks.value().size(), 5u);
  const std::vector<FileLock>& all = locks.value();
  EXPECT_EQ(all[0].kind, "OFDLCK");
  EXPECT_EQ(all[0].pid, -1);
  EXPECT_EQ(all[0].start, 3u);
  EXPECT_EQ(all[0].end, 6u);
  EXPECT_EQ(all[1].mode, "READ");
  EXPECT_EQ(all[1].end, std::nullopt);
  EXPECT_EQ(all[2].major, 0xfeu);
  EXPECT_EQ(all[2].minor, 0x1au);
  EXPECT_EQ(all[2].ino, 10969363u);
  EXPECT_FALSE(all[2].waiting);
  EXPECT_TRUE(all[3].waiting);
  EXPECT_EQ(all[3].pid, 6830);
  EXPECT_EQ(all[4].kind, "LEASE");
}

TEST(Locks, are_read_from_fdinfo) {
  const Result<FdInfo> info = FdInfo::parse(
      "pos:\t0\nflags:\t0100002\nmnt_id:\t29\nino:\t7\n"
      "lock:\t1: POSIX  ADVISORY  WRITE 6821 fe:00:7 5 14\n"
      "lock:\t2: POSIX  ADVISORY  READ 6821 fe:00:7 50 EOF\n");
  ASSERT_TRUE(info);
  const Result<std::vector<FileLock>> locks = locks_of(info.value());
  ASSERT_TRUE(locks) << locks.error().to_string();
  ASSERT_EQ(locks.value().size(), 2u);
  EXPECT_EQ(locks.value()[1].start, 50u);
}

TEST(Locks, that_are_malformed_are_errors) {
  for (const char* line :
       {"", "1:", "1: POSIX  ADVISORY  WRITE", "1: POSIX  ADVISORY  WRITE 1 fe:00:7 5",
        "1: POSIX  ADVISORY  WRITE 1 fe:00:7 5 4", "1: POSIX  ADVISORY  WRITE 1 fe:00:7 5 6 7",
        "x: POSIX  ADVISORY  WRITE 1 fe:00:7 5 6", "1: POSIX  ADVISORY  WRITE 1 <none>:0 0 EOF"})
    EXPECT_FALSE(parse_lock(line)) << line;
}

}  // namespace
}  // namespace cryo::procfs
