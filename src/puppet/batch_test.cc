#include "puppet/batch.h"

#include <gtest/gtest.h>

namespace cryo {
namespace {

// An image may have nothing where a call has a pointer.
TEST(Batch, takes_no_bytes_at_all) {
  Batch batch;
  (void)batch.put(uint32_t{1});
  const Data nothing = batch.put(std::span<const std::byte>());
  const Data behind = batch.put(uint32_t{2});
  EXPECT_EQ(nothing.offset, behind.offset);
}

}  // namespace
}  // namespace cryo
