#include <sys/resource.h>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

CHECKPOINT_TEST(RLimits, come_back) {
  std::array<struct rlimit, RLIM_NLIMITS> before{};
  for (unsigned i = 0; i < before.size(); ++i) {
    ASSERT_EQ(getrlimit(static_cast<__rlimit_resource_t>(i), &before[i]), 0);
    // Different ones for every resource, also where the restore itself would run into them.
    struct rlimit& limit = before[i];
    if (i == RLIMIT_AS || i == RLIMIT_DATA || i == RLIMIT_CPU || i == RLIMIT_STACK ||
        i == RLIMIT_FSIZE)
      continue;
    limit.rlim_max = std::min<rlim_t>(limit.rlim_max, 70000 + i);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 60 + i);
    ASSERT_EQ(setrlimit(static_cast<__rlimit_resource_t>(i), &limit), 0);
  }
  checkpoint();
  for (unsigned i = 0; i < before.size(); ++i) {
    struct rlimit after {};
    ASSERT_EQ(getrlimit(static_cast<__rlimit_resource_t>(i), &after), 0);
    EXPECT_EQ(after.rlim_cur, before[i].rlim_cur) << i;
    EXPECT_EQ(after.rlim_max, before[i].rlim_max) << i;
  }
}

// They apply to what comes, not to what is there.
CHECKPOINT_TEST(RLimits, below_what_is_in_use,
                except({"we_restore_peers"}, "CRIU opens files in the task, and runs into them")) {
  for (const auto resource :
       {RLIMIT_DATA, RLIMIT_STACK, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK}) {
    struct rlimit limit {};
    ASSERT_EQ(getrlimit(resource, &limit), 0);
    limit.rlim_cur = 1;
    ASSERT_EQ(setrlimit(resource, &limit), 0);
  }
  checkpoint();
  for (const auto resource :
       {RLIMIT_DATA, RLIMIT_STACK, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK}) {
    struct rlimit limit {};
    ASSERT_EQ(getrlimit(resource, &limit), 0);
    EXPECT_EQ(limit.rlim_cur, 1U);
    limit.rlim_cur = limit.rlim_max;
    EXPECT_EQ(setrlimit(resource, &limit), 0);
  }
}

}  // namespace
}  // namespace cryo
