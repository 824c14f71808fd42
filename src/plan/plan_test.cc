#include "plan/plan.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

namespace cryo {
namespace {

TEST(Plan, threads_with_nothing_in_between_wait_at_once) {
  TaskPlan plan(3);
  for (size_t i = 0; i < 3; ++i) plan.calls(Phase::wait, i).call(SYS_nanosleep, 1, 2).no_reply();
  for (size_t i = 1; i < 3; ++i) plan.calls(Phase::thread, i).call(SYS_set_tid_address, i);
  plan.calls(Phase::creds, 2).call(SYS_setresuid, 1, 1, 1);
  plan.join_waits();
  const std::vector<Batch>& thread = plan.steps(Phase::thread).calls;
  const std::vector<Batch>& wait = plan.steps(Phase::wait).calls;
  EXPECT_EQ(thread[1].size(), 2U);
  EXPECT_TRUE(wait[1].empty());
  EXPECT_EQ(thread[2].size(), 1U) << "its credentials come first";
  EXPECT_EQ(wait[2].size(), 1U);
  EXPECT_EQ(wait[0].size(), 1U) << "the leader has more to do";
}

}  // namespace
}  // namespace cryo
