#include "sys/pagemap.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <vector>

#include "sys/file.h"
#include "sys/memory.h"

namespace cryo::sys {
namespace {

class SysPagemap : public ::testing::Test {
 protected:
  void SetUp() override {
    pagemap_ = open("/proc/self/pagemap", O_RDONLY).value();
    memory_ =
        Mapping::make(kPages * page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
            .value();
    (void)madvise(memory_.address(), memory_.size(), MADV_NOHUGEPAGE);
    for (size_t page = 0; page < kPages; page += 2) *memory_.as<char>(page * page_size()) = 'x';
    PmScanArg probe;
    probe.end = page_size();
    if (!pagemap_scan(pagemap_, probe)) GTEST_SKIP() << "no PAGEMAP_SCAN here";
  }

  // All runs of present pages, read with a buffer of `room` runs.
  std::vector<PageRegion> present(size_t room) {
    PageFilter filter;
    filter.any_of = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
    filter.report = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
    const auto start = reinterpret_cast<uint64_t>(memory_.address());
    PageScan scan(pagemap_, start, start + memory_.size(), filter);
    std::vector<PageRegion> buffer(room);
    std::vector<PageRegion> all;
    while (true) {
      const std::span<const PageRegion> some = scan.next(buffer).value();
      if (some.empty()) return all;
      all.insert(all.end(), some.begin(), some.end());
    }
  }

  static constexpr size_t kPages = 4001;
  Fd pagemap_;
  Mapping memory_;
};

// 2001 runs: with a room above 512 the kernel's inner buffer is flushed, which leaves walk_end stale.
TEST_F(SysPagemap, finds_every_run_once_whatever_the_room) {
  const auto start = reinterpret_cast<uint64_t>(memory_.address());
  for (const size_t room : {1UL, 7UL, 512UL, 513UL, 2000UL, 2001UL, 2002UL, 100000UL}) {
    const std::vector<PageRegion> runs = present(room);
    ASSERT_EQ(runs.size(), (kPages + 1) / 2) << "room " << room;
    for (size_t i = 0; i < runs.size(); ++i) {
      ASSERT_EQ(runs[i].start, start + 2 * i * page_size()) << "room " << room;
      ASSERT_EQ(runs[i].end, runs[i].start + page_size());
    }
  }
}

TEST_F(SysPagemap, an_untouched_range_has_no_runs) {
  ASSERT_TRUE(madvise(memory_.address(), memory_.size(), MADV_DONTNEED));
  EXPECT_TRUE(present(16).empty());
}

TEST_F(SysPagemap, an_empty_range_is_never_asked_for) {
  PageScan scan(pagemap_, 0x1000, 0x1000, PageFilter{});
  std::vector<PageRegion> room(1);
  EXPECT_TRUE(scan.next(room).value().empty());
}

}  // namespace
}  // namespace cryo::sys
