#include "puppet/batch.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

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

TEST(Batch, appended_calls_point_at_their_own_data) {
  Batch batch;
  batch.call(SYS_chdir, batch.put_string("one"));
  Batch other;
  const Data name = other.put_string("two");
  const Data pointer = other.put(uint64_t{0});
  other.point(pointer, 0, name);
  other.call(SYS_chroot, name).call(SYS_nanosleep, pointer, 0).no_reply();
  batch.append(other);
  ASSERT_EQ(batch.size(), 3U);

  constexpr uint64_t kAt = 0x10000;
  std::vector<std::byte> memory(batch.bytes());
  batch.load(memory, kAt, 0, 0);
  const auto* calls = reinterpret_cast<const puppet_call*>(memory.data());
  const auto* text = reinterpret_cast<const char*>(memory.data());
  EXPECT_STREQ(text + (calls[0].arg[0] - kAt), "one");
  EXPECT_STREQ(text + (calls[1].arg[0] - kAt), "two");
  uint64_t pointed = 0;
  std::memcpy(&pointed, text + (calls[2].arg[0] - kAt), sizeof(pointed));
  EXPECT_EQ(pointed, calls[1].arg[0]);
  EXPECT_EQ(calls[2].result, kUnderWay);
}

TEST(Batch, lengthens_only_the_same_call_on_the_next_memory) {
  constexpr uint64_t kStart = 0x10000, kSize = 0x1000, kMost = 0x4000;
  Batch batch;
  EXPECT_FALSE(batch.lengthen(SYS_mprotect, kStart, kSize, kMost, {1}));
  batch.call(SYS_mprotect, kStart, kSize, 1);
  EXPECT_TRUE(batch.lengthen(SYS_mprotect, kStart + kSize, kSize, kMost, {1}));
  EXPECT_FALSE(batch.lengthen(SYS_mprotect, kStart + kSize, kSize, kMost, {1})) << "not the next";
  EXPECT_FALSE(batch.lengthen(SYS_mprotect, kStart + 2 * kSize, kSize, kMost, {3})) << "another";
  EXPECT_FALSE(batch.lengthen(SYS_munmap, kStart + 2 * kSize, kSize, kMost, {1}));
  EXPECT_FALSE(batch.lengthen(SYS_mprotect, kStart + 2 * kSize, kMost, kMost, {1})) << "too much";
  ASSERT_EQ(batch.size(), 1U);
  EXPECT_EQ(batch.describe(0), "mprotect(0x10000, 0x2000, 1, 0, 0, 0)");
}

}  // namespace
}  // namespace cryo
