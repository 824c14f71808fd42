#include "plan/task_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

TEST(TaskLog, StandsBesideTheLog) {
  const std::string directory =
      testing::TempDir() + "cryo_task_log_" + std::to_string(sys::getpid().value);
  std::filesystem::create_directory(directory);
  const Fd work = sys::open(directory, O_RDONLY | O_DIRECTORY).value();
  RestoreOptions options;
  options.log_file = "restore.log";
  EXPECT_FALSE(open_task_log(options, work, Pid{12}).value());
  options.log_pid = true;
  EXPECT_TRUE(open_task_log(options, work, Pid{12}).value());
  EXPECT_TRUE(sys::exists(work, "restore.log.12").value());
  options.log_file = "-";
  EXPECT_FALSE(open_task_log(options, work, Pid{12}).value());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace cryo
