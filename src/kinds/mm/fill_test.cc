// Contents of memory through a dump and a restore, in amounts for which two work at it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kMuch = 24 << 20;

struct Memory {
  unsigned char* at = nullptr;
  size_t size = 0;
};

Memory map(size_t size, int prot = PROT_READ | PROT_WRITE) {
  void* at = mmap(nullptr, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return {at == MAP_FAILED ? nullptr : static_cast<unsigned char*>(at), size};
}

// Each page says which one it is.
void fill(const Memory& memory, size_t step = 1) {
  for (size_t page = 0; page < memory.size / kPage; page += step) {
    std::memset(memory.at + page * kPage, static_cast<int>(page % 251), kPage);
    std::memcpy(memory.at + page * kPage + 8, &page, sizeof(page));
  }
}

size_t wrong_pages(const Memory& memory, size_t step = 1) {
  size_t wrong = 0;
  for (size_t page = 0; page < memory.size / kPage; ++page) {
    unsigned char expected[kPage] = {};
    if (page % step == 0) {
      std::memset(expected, static_cast<int>(page % 251), kPage);
      std::memcpy(expected + 8, &page, sizeof(page));
    }
    if (std::memcmp(memory.at + page * kPage, expected, kPage) != 0) ++wrong;
  }
  return wrong;
}

// KiB of huge pages in the whole process.
size_t huge_kib() {
  std::ifstream smaps("/proc/self/smaps_rollup");
  for (std::string line; std::getline(smaps, line);)
    if (line.starts_with("AnonHugePages:")) return std::stoul(line.substr(14));
  return 0;
}

CHECKPOINT_TEST(Fill, keeps_much_memory) {
  const Memory memory = map(kMuch);
  ASSERT_NE(memory.at, nullptr);
  fill(memory);
  checkpoint();
  EXPECT_EQ(wrong_pages(memory), 0U);
}

CHECKPOINT_TEST(Fill, keeps_holes_between_pages) {
  const Memory memory = map(kMuch * 3);
  ASSERT_NE(memory.at, nullptr);
  fill(memory, 3);
  checkpoint();
  EXPECT_EQ(wrong_pages(memory, 3), 0U);
}

CHECKPOINT_TEST(Fill, keeps_memory_of_all_protections_side_by_side) {
  const Memory memory = map(kMuch);
  ASSERT_NE(memory.at, nullptr);
  fill(memory);
  constexpr int kProtections[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
                                  PROT_READ | PROT_EXEC};
  for (size_t i = 0; i < memory.size / (4 * kPage); ++i)
    ASSERT_EQ(mprotect(memory.at + i * 4 * kPage, 4 * kPage, kProtections[i % 4]), 0);
  checkpoint();
  ASSERT_EQ(mprotect(memory.at, memory.size, PROT_READ), 0);
  EXPECT_EQ(wrong_pages(memory), 0U);
}

CHECKPOINT_TEST(Fill, keeps_changed_pages_of_a_private_file_mapping) {
  const int fd = open("data", O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(ftruncate(fd, kMuch), 0);
  void* at = mmap(nullptr, kMuch, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  ASSERT_NE(at, MAP_FAILED);
  const Memory memory{static_cast<unsigned char*>(at), kMuch};
  fill(memory, 2);
  checkpoint();
  EXPECT_EQ(wrong_pages(memory, 2), 0U);
}

CHECKPOINT_TEST(Fill, keeps_huge_pages_huge,
                except({"peer_restores_ours", "we_restore_peers"},
                       "CRIU 4.2 does not know which they were, and fills small ones")) {
  const Memory memory = map(kMuch);
  ASSERT_NE(memory.at, nullptr);
  ASSERT_EQ(madvise(memory.at, memory.size, MADV_HUGEPAGE), 0);
  fill(memory);
  const size_t before = huge_kib();
  checkpoint();
  EXPECT_EQ(wrong_pages(memory), 0U);
  if (before > 0) {
    EXPECT_GE(huge_kib() + 4096, before);
  }
}

CHECKPOINT_TEST(Fill, needs_no_file_size_of_the_task) {
  const Memory memory = map(kMuch);
  ASSERT_NE(memory.at, nullptr);
  fill(memory);
  const rlimit limit{65536, RLIM_INFINITY};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  checkpoint();
  EXPECT_EQ(wrong_pages(memory), 0U);
}

}  // namespace
}  // namespace cryo
