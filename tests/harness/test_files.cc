#include "tests/harness/test_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tests/harness/text.h"

namespace cryo::live {
namespace {

namespace fs = std::filesystem;

std::string as_file_name(std::string test_name) {
  std::replace(test_name.begin(), test_name.end(), '/', '.');
  return test_name;
}

}  // namespace

TestFiles::TestFiles(std::string test_name)
    : test_name_(std::move(test_name)),
      directory_(fmt::format("{}/live/{}.{}", CRYO_BUILD_DIR, as_file_name(test_name_), getpid())) {
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

TestFiles::~TestFiles() {
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

Result<void> TestFiles::make(const std::string& below) {
  std::error_code error;
  fs::create_directories(path(below), error);
  if (error) return Error::os(error.value(), "making " + path(below));
  return {};
}

std::string TestFiles::new_images() { return path(fmt::format("images-{}", ++images_made_)); }

std::string TestFiles::keep() {
  const std::string kept = fmt::format("{}/failed/{}", CRYO_BUILD_DIR, as_file_name(test_name_));
  std::error_code error;
  fs::create_directories(fs::path(kept).parent_path(), error);
  fs::remove_all(kept, error);
  fs::rename(directory_, kept, error);
  return fmt::format("files and images: {}\nrepeat with: {}", kept, repeat_command(test_name_));
}

std::string current_test_name() {
  const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
  return fmt::format("{}.{}", info->test_suite_name(), info->name());
}

std::string repeat_command(const std::string& test_name) {
  std::string command;
  for (const char* name : {"CRYO_TOOL", "CRYO_PEER"}) {
    if (const char* value = getenv(name)) command += fmt::format("{}={} ", name, value);
  }
  return command + read_link("/proc/self/exe") + " --gtest_filter=" + test_name;
}

}  // namespace cryo::live
