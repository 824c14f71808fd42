// Protection keys (pkeys(7)): what a thread may do is in its PKRU register, and comes back with the rest of the processor
// state. A mapping with a key of its own is refused.
#include <sys/mman.h>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

CHECKPOINT_TEST(ProtectionKeys, rights_of_threads) {
  const int key = pkey_alloc(0, PKEY_DISABLE_WRITE);
  if (key < 0) GTEST_SKIP() << "the processor has no protection keys";
  live::Gate ready, go;
  live::Threads threads(1, [&](int) {
    ASSERT_EQ(pkey_set(key, PKEY_DISABLE_ACCESS), 0);
    ready.open();
    go.wait();
    EXPECT_EQ(pkey_get(key), PKEY_DISABLE_ACCESS);
  });
  ready.wait();
  checkpoint();
  EXPECT_EQ(pkey_get(key), PKEY_DISABLE_WRITE);
  go.open();
  threads.join();
}

}  // namespace
}  // namespace cryo
