#include "frontend/cli/progress.h"

#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include <cstdlib>

#include "sys/file.h"

namespace cryo::cli {
namespace {

TEST(Progress, ShowsABarOnceTheTotalIsKnown) {
  EXPECT_EQ(progress_text({"memory", 2048, 0}), "memory  2.0 KiB");
  EXPECT_EQ(progress_text({"memory", 512 << 20, 1 << 30}),
            "memory  [###############---------------]  512.0 MiB of 1.0 GiB");
  EXPECT_EQ(progress_text({"memory", 9, 3}),
            "memory  [##############################]  3 B of 3 B");
}

TEST(Progress, SizesHaveTheUnitThatReadsBest) {
  EXPECT_EQ(human_size(0), "0 B");
  EXPECT_EQ(human_size(1023), "1023 B");
  EXPECT_EQ(human_size(1536), "1.5 KiB");
  EXPECT_EQ(human_size((1ULL << 20U) - 1), "1.0 MiB");
  EXPECT_EQ(human_size(5ULL << 40U), "5.0 TiB");
}

TEST(Progress, IsNeverSeenInAPipe) {
  const sys::Pipe pipe = sys::pipe2().value();
  {
    ProgressLine line{FdRef(pipe.write), 0};
    line.show({"memory", 1, 2});
    line.clear();
  }
  int waiting = -1;
  ASSERT_TRUE(sys::ioctl(pipe.read, FIONREAD, &waiting));
  EXPECT_EQ(waiting, 0);
}

TEST(Progress, IsDrawnOnATerminalAndTakenAway) {
  const Fd controller(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(controller);
  ASSERT_EQ(unlockpt(controller.raw()), 0);
  std::string name(64, '\0');
  ASSERT_EQ(ptsname_r(controller.raw(), name.data(), name.size()), 0);
  const Fd terminal = sys::open(name, O_RDWR | O_NOCTTY).value();
  {
    ProgressLine line{FdRef(terminal), 0};
    line.show({"memory", 1, 2});
  }
  const std::string wanted = "\r" + progress_text({"memory", 1, 2}) + "\x1b[K\r\x1b[K";
  // The terminal passes on what was written in pieces, in its own time.
  std::string seen(wanted.size(), '\0');
  ASSERT_TRUE(sys::read_all(controller, seen.data(), seen.size()));
  EXPECT_EQ(seen, wanted);
}

}  // namespace
}  // namespace cryo::cli
