#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace cryo {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class LogTest : public testing::Test {
 protected:
  LogTest() : file_(memfd_create("log", MFD_CLOEXEC)) {}
  std::string written() const {
    std::string text(4096, '\0');
    text.resize(
        static_cast<size_t>(std::max<ssize_t>(0, pread(file_.raw(), text.data(), text.size(), 0))));
    return text;
  }
  Fd file_;
  Log log_;
};

TEST_F(LogTest, KeepsLinesUntilItIsOpen) {
  log_.warn("number {}", 1);
  EXPECT_EQ(written(), "");
  log_.open(FdRef(file_));
  EXPECT_THAT(written(), MatchesRegex("Warn  \\(log_test.cc:[0-9]+\\): number 1\n"));
}

TEST_F(LogTest, HasTheShapesThatCallersLookFor) {
  log_.open(FdRef(file_));
  log_.set_level(3);
  log_.error("bad");
  EXPECT_THAT(written(),
              MatchesRegex("\\([0-9]+.[0-9]{6}\\) Error \\(log_test.cc:[0-9]+\\): bad\n"));
}

TEST_F(LogTest, ShowsAnErrorWithItsTrailAndHint) {
  log_.open(FdRef(file_));
  log_.error(Error::usage("no").during("asking").hint("ask again"));
  EXPECT_THAT(written(), HasSubstr("): no\n"));
  EXPECT_THAT(written(), HasSubstr("  while asking\n"));
  EXPECT_THAT(written(), HasSubstr("  hint: ask again\n"));
}

TEST_F(LogTest, SaysOnlyWhatTheLevelAllows) {
  log_.open(FdRef(file_));
  log_.info("phase");
  log_.set_level(0);
  log_.error("silent");
  EXPECT_EQ(written(), "");
  EXPECT_EQ(log_.first_error(), "silent");
}

}  // namespace
}  // namespace cryo
