// A program that somebody has stopped.
#include <csignal>

#include "tests/harness/text.h"
#include "tests/scenarios/program.h"

namespace cryo::live {
namespace {

PROGRAM_TEST(Stopped, stays_so_until_it_is_continued) {
  ASSERT_TRUE(start({"sh", "-c", "while [ ! -e may-end ]; do i=$((i + 1)); echo $i; done"}));
  const auto is_stopped = [this] {
    return read_text(fmt::format("/proc/{}/status", pid())).find("State:\tT ") != std::string::npos;
  };
  ASSERT_TRUE(wait_for_size("../output", 100));
  ASSERT_EQ(kill(pid(), SIGSTOP), 0);
  ASSERT_TRUE(wait_for(is_stopped, "stopped"));
  const std::string before = output();
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(wait_for(is_stopped, "stopped again"));
  EXPECT_EQ(output(), before);
  ASSERT_EQ(kill(pid(), SIGCONT), 0);
  ASSERT_TRUE(wait_for_size("../output", before.size() + 100));
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
}

}  // namespace
}  // namespace cryo::live
