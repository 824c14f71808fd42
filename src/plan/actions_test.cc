#include "plan/actions.h"

#include <gtest/gtest.h>

namespace cryo {
namespace {

TEST(Actions, HaveTheNamesThatScriptsCompareWith) {
  EXPECT_STREQ(action_name(Action::pre_dump), "pre-dump");
  EXPECT_STREQ(action_name(Action::post_setup_namespaces), "post-setup-namespaces");
  EXPECT_STREQ(action_name(Action::post_resume), "post-resume");
}

TEST(Actions, OnlyFailuresBeforeTheTasksRunCount) {
  EXPECT_TRUE(action_failure_counts(Action::post_dump));
  EXPECT_TRUE(action_failure_counts(Action::post_restore));
  EXPECT_FALSE(action_failure_counts(Action::pre_resume));
  EXPECT_FALSE(action_failure_counts(Action::post_resume));
}

}  // namespace
}  // namespace cryo
