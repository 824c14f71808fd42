#include "sys/btf.h"

#include <gtest/gtest.h>
#include <linux/btf.h>

#include <cstring>

#include "sys/file.h"

namespace cryo::sys {
namespace {

constexpr BtfName kNames[] = {{BtfKind::structure, "task_struct"},
                              {BtfKind::structure, "no_such_struct"},
                              {BtfKind::structure, "restart_block"},
                              {BtfKind::function, "bpf_iter_task"}};

TEST(Btf, FindsStructsFunctionsAndMembersOfTheKernel) {
  Result<Btf> btf = Btf::of_kernel();
  if (!btf) GTEST_SKIP() << btf.error().to_string();
  const std::vector<uint32_t> ids = btf->find(kNames);
  ASSERT_EQ(ids.size(), std::size(kNames));
  EXPECT_NE(ids[0], 0U);
  EXPECT_EQ(ids[1], 0U);
  EXPECT_NE(ids[2], 0U);
  EXPECT_NE(ids[3], 0U);
  EXPECT_GT(btf->size(ids[0]), 1000U);
  EXPECT_EQ(btf->size(ids[3]), 0U) << "a function has none";
  EXPECT_TRUE(btf->member(ids[0], "restart_block").has_value());
  EXPECT_FALSE(btf->member(ids[0], "no_such_member").has_value());
  // Behind the function, in a union without a name.
  const std::optional<BtfMember> function = btf->member(ids[2], "fn");
  const std::optional<BtfMember> futex = btf->member(ids[2], "futex");
  ASSERT_TRUE(function && futex);
  EXPECT_EQ(futex->offset, function->offset + 8);
  EXPECT_TRUE(btf->member(futex->type, "time").has_value());
  const std::optional<BtfMember> time = btf->member_at(ids[2], "futex.time");
  ASSERT_TRUE(time.has_value());
  EXPECT_EQ(time->offset, futex->offset + btf->member(futex->type, "time")->offset);
  EXPECT_EQ(btf->size(time->type), 8U);
  EXPECT_FALSE(btf->member_at(ids[2], "futex.nothing").has_value());
  EXPECT_TRUE(btf->member_at(ids[0], "pending.signal.sig").has_value()) << "behind a typedef";
  EXPECT_EQ(btf->size(btf->member(ids[0], "comm")->type), 16U);
  EXPECT_FALSE(btf->member(0, "fn").has_value());
  EXPECT_FALSE(btf->member(UINT32_MAX, "fn").has_value());
}

// One int of 4 bytes and a struct with a member that has no name.
std::vector<std::byte> small() {
  constexpr char kStrings[] = "\0outer\0inside";
  const uint32_t types[] = {
      0,
      BTF_KIND_STRUCT << 24 | 1,
      8,
      /* member */ 7,
      2,
      32,  // 1: inner
      0,
      BTF_KIND_INT << 24,
      4,
      32,  // 2
      1,
      BTF_KIND_STRUCT << 24 | 2,
      16,
      /* members */ 7,
      2,
      0,
      /* no name */ 0,
      1,
      64,  // 3: outer
  };
  btf_header header{};
  header.magic = BTF_MAGIC;
  header.version = BTF_VERSION;
  header.hdr_len = sizeof(header);
  header.type_len = sizeof(types);
  header.str_off = sizeof(types);
  header.str_len = sizeof(kStrings);
  std::vector<std::byte> data(sizeof(header) + sizeof(types) + sizeof(kStrings));
  std::memcpy(data.data(), &header, sizeof(header));
  std::memcpy(data.data() + sizeof(header), types, sizeof(types));
  std::memcpy(data.data() + sizeof(header) + sizeof(types), kStrings, sizeof(kStrings));
  return data;
}

TEST(Btf, KnowsKindsBySizeAndMembersByName) {
  const std::vector<std::byte> data = small();
  Result<Btf> btf = Btf::parse(data);
  ASSERT_TRUE(btf) << btf.error().to_string();
  constexpr BtfName kOuter[] = {{BtfKind::structure, "outer"}, {BtfKind::function, "outer"}};
  EXPECT_EQ(btf->find(kOuter), (std::vector<uint32_t>{3, 0}));
  EXPECT_EQ(btf->size(3), 16U);
  EXPECT_EQ(btf->size(2), 4U);
  EXPECT_EQ(btf->size(4), 0U) << "there is none";
  EXPECT_EQ(btf->member_at(3, "inside")->offset, 0U);
  EXPECT_EQ(btf->member(3, "inside")->offset, 0U);
  EXPECT_EQ(btf->member(1, "inside")->offset, 4U);
}

TEST(Btf, RefusesWhatIsCutOff) {
  const std::vector<std::byte> whole = small();
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(Btf::parse(std::span(whole).first(size))) << size;
}

}  // namespace
}  // namespace cryo::sys
