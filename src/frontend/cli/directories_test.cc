#include "frontend/cli/directories.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "sys/file.h"
#include "sys/process.h"

namespace cryo::cli {
namespace {

class Directories : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "cryo_directories_" + std::to_string(sys::getpid().value);
    std::filesystem::create_directory(path_);
    place_ = sys::open(path_, O_RDONLY | O_DIRECTORY).value();
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  // An inventory with this time of change, in seconds.
  void finish_checkpoint(const std::string& name, time_t time) {
    Fd file = sys::openat(place_, name + "/inventory.img", O_WRONLY | O_CREAT, 0600).value();
    const timespec when{.tv_sec = time, .tv_nsec = 0};
    ASSERT_TRUE(sys::utimensat(file, nullptr, when, when));
  }

  std::string path_;
  Fd place_;
};

TEST_F(Directories, AreNumberedWhenTheNameIsTaken) {
  EXPECT_EQ(make_checkpoint_directory(place_, Pid{7}).value(), "checkpoint-7");
  EXPECT_EQ(make_checkpoint_directory(place_, Pid{7}).value(), "checkpoint-7-2");
  EXPECT_EQ(make_checkpoint_directory(place_, Pid{7}).value(), "checkpoint-7-3");
  EXPECT_EQ(make_checkpoint_directory(place_, Pid{8}).value(), "checkpoint-8");
}

TEST_F(Directories, AreFoundByTheLastDump) {
  for (int i = 0; i < 4; ++i) (void)make_checkpoint_directory(place_, Pid{7});
  finish_checkpoint("checkpoint-7", 1000);
  finish_checkpoint("checkpoint-7-2", 3000);
  finish_checkpoint("checkpoint-7-3", 2000);
  EXPECT_EQ(find_checkpoint_directory(place_).value(), "checkpoint-7-2");
}

TEST_F(Directories, ThePresentOneComesFirst) {
  (void)make_checkpoint_directory(place_, Pid{7});
  EXPECT_EQ(find_checkpoint_directory(place_).value(), ".");
  finish_checkpoint("checkpoint-7", 1000);
  finish_checkpoint(".", 500);
  EXPECT_EQ(find_checkpoint_directory(place_).value(), ".");
}

}  // namespace
}  // namespace cryo::cli
