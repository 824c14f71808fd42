#include "plan/restore.h"

#include <gtest/gtest.h>

#include "fdinfo.pb.h"

namespace cryo {
namespace {

pb::fdinfo_entry descriptor(uint32_t fd, uint32_t id, bool cloexec = false) {
  pb::fdinfo_entry entry;
  entry.set_fd(fd);
  entry.set_id(id);
  entry.set_flags(cloexec ? 1 : 0);
  return entry;
}

TEST(StagedFiles, AreMadeWhereTheTaskHasThem) {
  const std::vector<pb::fdinfo_entry> fds = {descriptor(0, 1), descriptor(100, 2, true),
                                             descriptor(101, 2), descriptor(103, 3)};
  StagedFiles files(100, std::vector<std::span<const pb::fdinfo_entry>>{fds});
  EXPECT_EQ(files.file(FileId{2}), 100);
  EXPECT_EQ(files.file(FileId{3}), 103);
  EXPECT_TRUE(files.wanted()[0].cloexec);
  EXPECT_FALSE(files.wanted()[1].cloexec);
  EXPECT_EQ(files.file(FileId{2}), 100);
  EXPECT_EQ(files.wanted().size(), 2U);
}

TEST(StagedFiles, TakeNoNumberThatTheTaskHas) {
  const std::vector<pb::fdinfo_entry> fds = {descriptor(0, 1), descriptor(100, 2),
                                             descriptor(101, 2), descriptor(103, 3)};
  StagedFiles files(100, std::vector<std::span<const pb::fdinfo_entry>>{fds});
  EXPECT_EQ(files.file(FileId{1}), 102);  // its own number may be in use here
  EXPECT_EQ(files.file(FileId{2}, 0), 104);
  EXPECT_EQ(files.add("something", [] { return Result<Fd>(Fd()); }), 105);
  EXPECT_EQ(files.end(), 106U);
}

TEST(StagedFiles, AreMadeElsewhereWhenThereAreSeveralTasks) {
  const std::vector<pb::fdinfo_entry> one = {descriptor(100, 1)};
  const std::vector<pb::fdinfo_entry> other = {descriptor(100, 2), descriptor(102, 1)};
  StagedFiles files(100, std::vector<std::span<const pb::fdinfo_entry>>{one, other});
  EXPECT_EQ(files.file(FileId{1}), 101);
  EXPECT_EQ(files.file(FileId{2}), 103);
}

// As only a hostile image has them.
TEST(StagedFiles, LeaveImpossibleNumbersAlone) {
  const std::vector<pb::fdinfo_entry> fds = {descriptor(0xffffffff, 1), descriptor(7, 2)};
  StagedFiles files(10, std::vector<std::span<const pb::fdinfo_entry>>{fds});
  EXPECT_EQ(files.file(FileId{1}), 10);
  EXPECT_EQ(files.file(FileId{2}), 11);
}

}  // namespace
}  // namespace cryo
