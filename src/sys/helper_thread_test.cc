#include "sys/helper_thread.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace cryo::sys {
namespace {

TEST(HelperThread, works_beside_its_maker) {
  pid_t who = 0;
  HelperThread helper([&who] { who = ::gettid(); });
  helper.join();
  EXPECT_NE(who, 0);
  EXPECT_NE(who, ::gettid());
}

TEST(HelperThread, is_done_when_it_goes_out_of_scope) {
  int sum = 0;
  {
    HelperThread helper([&sum] {
      for (int i = 0; i < 1000; ++i) sum += i;
    });
  }
  EXPECT_EQ(sum, 499500);
}

}  // namespace
}  // namespace cryo::sys
