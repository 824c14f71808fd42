// The directory of one test: gone when the test passes, kept when it fails.
#pragma once

#include <string>

#include "base/result.h"

namespace cryo::live {

class TestFiles {
 public:
  // Below the build directory, which is on a real file system: ghost files and links need one.
  explicit TestFiles(std::string test_name);
  ~TestFiles();
  TestFiles(const TestFiles&) = delete;
  TestFiles& operator=(const TestFiles&) = delete;

  Result<void> make(const std::string& below = {});
  std::string path(const std::string& below) const { return directory_ + "/" + below; }
  const std::string& directory() const { return directory_; }
  // A path for the images of another dump.
  std::string new_images();
  // Moves everything to build/failed/TEST. Says where, and the one command that runs the test again.
  std::string keep();

 private:
  const std::string test_name_;
  const std::string directory_;
  int images_made_ = 0;
};

// Suite.name of the test that runs.
std::string current_test_name();
std::string repeat_command(const std::string& test_name);

}  // namespace cryo::live
