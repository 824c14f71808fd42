// Programs whose own files are removed or replaced while they run, as an upgrade does.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "tests/harness/text.h"
#include "tests/scenarios/program.h"

namespace cryo::live {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class ChangedFilesTest : public ProgramTest {
 protected:
  void start_own_copy() {
    fs::copy_file(built("counter-static"), path("program"));
    ASSERT_TRUE(start({path("program")}));
    ASSERT_TRUE(wait_for_output("count"));
  }
  std::string executable() const { return read_link(fmt::format("/proc/{}/exe", pid())); }
  // Another file of this name; the one that was there lives on without a name.
  void replace(const std::string& name, const std::string& by) {
    fs::copy_file(by, path(name + ".new"));
    fs::rename(path(name + ".new"), path(name));
  }
  void expect_right_end() {
    make_file("may-end", 0);
    ASSERT_TRUE(ends_with_status(0));
    EXPECT_THAT(output(), EndsWith("right\n"));
  }
};

PROGRAM_TEST_OF(ChangedFilesTest, RemovedProgram, goes_on) {
  start_own_copy();
  fs::remove(path("program"));
  ASSERT_TRUE(checkpoint());
  EXPECT_EQ(executable(), path("program") + " (deleted)");
  EXPECT_FALSE(fs::exists(path("program")));
  expect_right_end();
}

PROGRAM_TEST_OF(ChangedFilesTest, ReplacedProgram, goes_on_beside_the_new_one) {
  start_own_copy();
  replace("program", built("counter-musl"));
  ASSERT_TRUE(checkpoint());
  EXPECT_THAT(executable(), AllOf(StartsWith(path("program")), EndsWith(" (deleted)")));
  EXPECT_EQ(fs::file_size(path("program")), fs::file_size(built("counter-musl")));
  expect_right_end();
}

PROGRAM_TEST_OF(ChangedFilesTest, ReplacedLibrary, stays_the_old_one) {
  ASSERT_TRUE(run(
      {"sh", "-c", "cp -L $(ldd $(command -v perl) | awk '/libm.so/ { print $3 }') libm.so.6"}));
  ASSERT_TRUE(start({"perl", "-e",
                     "$| = 1; until (-e 'may-end') { $sum += sqrt(++$i) for 1 .. 1000; "
                     "print sqrt(2), qq(\\n); } print qq(right\\n);"},
                    {"LD_LIBRARY_PATH=."}));
  ASSERT_TRUE(wait_for_output("1.4142"));
  ASSERT_THAT(read_text(fmt::format("/proc/{}/maps", pid())), HasSubstr(path("libm.so.6")));
  replace("libm.so.6", built("counter-musl"));
  ASSERT_TRUE(checkpoint());
  EXPECT_THAT(read_text(fmt::format("/proc/{}/maps", pid())), HasSubstr("libm.so.6"));
  expect_right_end();
}

}  // namespace
}  // namespace cryo::live
