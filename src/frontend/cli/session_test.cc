#include "frontend/cli/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "sys/file.h"
#include "sys/process.h"

namespace cryo::cli {
namespace {

TEST(Pidfile, HoldsTheNumberAloneAndIsNeverReplaced) {
  const std::string path =
      testing::TempDir() + "cryo_pidfile_" + std::to_string(sys::getpid().value);
  ASSERT_TRUE(write_pidfile(sys::cwd(), path, Pid{4711}));
  EXPECT_EQ(sys::read_file(sys::cwd(), path).value(), "4711");
  EXPECT_EQ(sys::fstatat(sys::cwd(), path).value().st_mode & 07777, 0600U);
  EXPECT_FALSE(write_pidfile(sys::cwd(), path, Pid{4712}));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace cryo::cli
