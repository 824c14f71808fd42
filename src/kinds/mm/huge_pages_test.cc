// Memory in huge pages: hugetlb, which the system keeps a pool of, and transparent ones.
#include <linux/memfd.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>

#include "kinds/mm/own_memory_test.h"
#include "sys/uapi.h"
#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

constexpr size_t kHuge = 2 << 20;
constexpr int kReadWrite = PROT_READ | PROT_WRITE;

// Some more huge pages in the pool, for as long as it lives. A dumped task keeps its own until it is dead, so there
// are enough for two at a time.
class Pool {
 public:
  Pool() : before_(read()) {
    write(before_ + kPages);
    enough_ = read() == before_ + kPages;
  }
  ~Pool() { write(before_); }
  bool enough() const { return enough_; }

 private:
  static constexpr long kPages = 12;
  static constexpr const char* kFile = "/proc/sys/vm/nr_hugepages";
  static long read() {
    long pages = 0;
    std::ifstream(kFile) >> pages;
    return pages;
  }
  static void write(long pages) { std::ofstream(kFile) << pages; }
  long before_;
  bool enough_ = false;
};

char* map(size_t size, int flags, int fd = -1) {
  void* at = mmap(nullptr, size, kReadWrite, flags, fd, 0);
  return at == MAP_FAILED ? nullptr : static_cast<char*>(at);
}

CHECKPOINT_TEST(HugePages, hugetlb,
                proc_differs({"task/*/status/HugetlbPages"}, "resident pages")) {
  const Pool pool;
  if (!pool.enough()) GTEST_SKIP() << "no huge pages to be had";
  char* mine = map(2 * kHuge, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
  char* shared = map(kHuge, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB);
  const int fd = memfd_create("huge", MFD_HUGETLB);
  ASSERT_EQ(ftruncate(fd, kHuge), 0);
  char* object = map(kHuge, MAP_SHARED, fd);
  ASSERT_TRUE(mine != nullptr && shared != nullptr && object != nullptr);
  mine[kHuge + 5] = 'm';
  shared[kHuge - 1] = 's';
  object[100000] = 'o';
  checkpoint();
  EXPECT_EQ(mine[kHuge + 5], 'm');
  EXPECT_EQ(shared[kHuge - 1], 's');
  EXPECT_EQ(object[100000], 'o');
  for (const char* memory : {mine, shared, object}) {
    EXPECT_TRUE(own_mapping(memory).has(procfs::VmFlag::ht));
    EXPECT_EQ(own_mapping(memory).usage.kernel_page_size, kHuge);
  }
  munmap(mine, 2 * kHuge);
  munmap(shared, kHuge);
  munmap(object, kHuge);
  close(fd);
}

// Two huge pages, aligned, with nothing beside them.
char* map_aligned() {
  char* around = map(4 * kHuge, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  mprotect(around, 4 * kHuge, PROT_NONE);
  const auto start = (reinterpret_cast<uint64_t>(around) + kHuge - 1) & ~(kHuge - 1);
  char* memory = reinterpret_cast<char*>(start);
  mprotect(memory, 2 * kHuge, kReadWrite);
  return memory;
}

CHECKPOINT_TEST(HugePages, transparent,
                except({"peer_restores_ours", "we_restore_peers"},
                       "CRIU 4.2 does not know which they were")) {
  char* advised = map_aligned();
  char* collapsed = map_aligned();
  char* withdrawn = map_aligned();
  ASSERT_EQ(madvise(advised, 2 * kHuge, MADV_HUGEPAGE), 0);
  ASSERT_EQ(madvise(withdrawn, 2 * kHuge, MADV_HUGEPAGE), 0);
  memset(advised, 'a', 2 * kHuge);
  memset(collapsed, 'c', 2 * kHuge);
  memset(withdrawn, 'w', 2 * kHuge);
  if (madvise(collapsed, 2 * kHuge, MADV_COLLAPSE) != 0) GTEST_SKIP() << "no huge pages to be had";
  ASSERT_EQ(madvise(withdrawn, 2 * kHuge, MADV_NOHUGEPAGE), 0);
  std::vector<uint64_t> before;
  for (const char* memory : {advised, collapsed, withdrawn})
    before.push_back(own_mapping(memory).usage.anon_huge);
  checkpoint();
  std::vector<uint64_t> after;
  for (const char* memory : {advised, collapsed, withdrawn})
    after.push_back(own_mapping(memory).usage.anon_huge);
  EXPECT_EQ(before, after);
  EXPECT_EQ(advised[kHuge], 'a');
  EXPECT_EQ(collapsed[kHuge], 'c');
  EXPECT_EQ(withdrawn[2 * kHuge - 1], 'w');
}

}  // namespace
}  // namespace cryo
