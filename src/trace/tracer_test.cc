#include "trace/tracer.h"

#include <gtest/gtest.h>

#include <csignal>

namespace cryo {
namespace {

using Handler = void (*)(int);

Handler child_handler() {
  struct sigaction action {};
  sigaction(SIGCHLD, nullptr, &action);
  return action.sa_handler;
}

// A stop is told by SIGCHLD, but not to a process that ignores it.
TEST(Tracer, HearsOfStopsAlsoWhenStartedWithSigchldIgnored) {
  const Handler before = signal(SIGCHLD, SIG_IGN);
  {
    Result<Tracer> tracer = Tracer::create(0);
    ASSERT_TRUE(tracer);
    EXPECT_EQ(child_handler(), SIG_DFL);
    const Tracer moved = std::move(*tracer);
    EXPECT_EQ(child_handler(), SIG_DFL);
  }
  EXPECT_EQ(child_handler(), SIG_IGN);
  signal(SIGCHLD, before);
}

}  // namespace
}  // namespace cryo
