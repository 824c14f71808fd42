// PROGRAM_TEST: a real program that is checkpointed in the middle of its work.
//
//   PROGRAM_TEST(Xz, compresses_as_if_nothing_had_happened) {
//     make_file("input", 64 << 20);
//     ASSERT_TRUE(start({"xz", "-9", "-T2", "-k", "input"}));
//     ASSERT_TRUE(wait_for_size("input.xz", 1 << 20));
//     ASSERT_TRUE(checkpoint());
//     ASSERT_TRUE(ends_with_status(0));
//     ...
//   }
//
// The program is a session leader in an empty directory, without a terminal, stdin on /dev/null, stdout
// and stderr on a file. One test for each variant (restore, leave_running, twenty_times, peer_restores_ours,
// we_restore_peers) is made, in the suite XzLive.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/harness/target.h"
#include "tests/harness/test_files.h"
#include "tests/harness/variant.h"

namespace cryo::live {

class ProgramTest : public testing::Test {
 public:
  void be(const Variant& variant) { variant_ = &variant; }

 protected:
  ProgramTest();
  void SetUp() override;
  void TearDown() override;

  // Paths below the program's working directory.
  std::string path(const std::string& name) const;
  std::string text_of(const std::string& name) const;
  // A file of lines with numbers, the same every time.
  void make_file(const std::string& name, size_t size);

  testing::AssertionResult start(const Words& argv, const Words& environment = {});
  // Runs to the end, undisturbed, in the same directory: for the result to compare with.
  testing::AssertionResult run(const Words& argv);
  // What a program under tests/programs was built to; `name` as in its CMakeLists.txt.
  static std::string built(const std::string& name);

  // Until the program has written this; fails when it ends before.
  testing::AssertionResult wait_for_output(const std::string& text);
  testing::AssertionResult wait_for_size(const std::string& name, size_t size);
  testing::AssertionResult wait_for(const std::function<bool()>& condition,
                                    const std::string& what);

  // Does what the variant says with the program: dumps, waits until it is dead, and restores, once or more often. The
  // program works in between.
  testing::AssertionResult checkpoint(const Words& dump_options = {},
                                      const Words& restore_options = {});
  // Until it and its children have used the CPU for a moment: it works.
  testing::AssertionResult works();
  testing::AssertionResult ends_with_status(int status);

  std::string output() const;
  size_t checkpoints() const { return variant_->steps.size(); }
  bool by_cryo_alone() const { return variant_->by_cryo_alone(); }
  pid_t pid() const { return target_.pid(); }
  bool has_ended() { return target_.process().has_ended(); }
  void allow(std::chrono::seconds time) { deadline_ = deadline_in(time); }

 private:
  Result<void> perform(const Step& step, const std::string& images, const Words& dump_options,
                       const Words& restore_options);

  const Variant* variant_ = nullptr;
  TestFiles files_;
  Target target_;
  Deadline deadline_;
};

// Registers one test for each variant.
bool add_program_tests(const char* suite, const char* name, const char* file, int line,
                       const std::function<ProgramTest*()>& make_test);

}  // namespace cryo::live

#define PROGRAM_TEST(suite, name) PROGRAM_TEST_OF(::cryo::live::ProgramTest, suite, name)

// The same, with helpers from a class of the test's own, which is made from ProgramTest.
#define PROGRAM_TEST_OF(base, suite, name)                                              \
  class suite##_##name##_Program final : public base {                                  \
    void TestBody() override;                                                           \
  };                                                                                    \
  [[maybe_unused]] const bool suite##_##name##_added = ::cryo::live::add_program_tests( \
      #suite, #name, __FILE__, __LINE__, [] { return new suite##_##name##_Program; });  \
  void suite##_##name##_Program::TestBody()
