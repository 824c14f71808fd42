// The victim's side of a live test.
#pragma once

#include <string>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/shared_page.h"

namespace cryo::live {

// The environment variable that makes the test program a victim; its value is the test's directory.
inline constexpr const char* kVictimVariable = "CRYO_VICTIM";

class Victim {
 public:
  static Result<Victim> in(const std::string& directory);
  void checkpoint();
  // Tells the harness how the body ended. The texts of failures are in the output.
  void report(const testing::TestResult& result);

 private:
  explicit Victim(SharedPage shared) : shared_(std::move(shared)) {}
  SharedPage shared_;
};

}  // namespace cryo::live
