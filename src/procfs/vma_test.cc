#include "procfs/vma.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

namespace cryo::procfs {
namespace {

// Text of Linux 6.18.
constexpr std::string_view kMaps =
    "55adfdaba000-55adfdabc000 r-xp 00002000 fe:00 10953877                   /tmp/p/v\n"
    "55ae34bbc000-55ae34bdd000 rw-p 00000000 00:00 0                          [heap]\n"
    "7fb2c0600000-7fb2c0a00000 rw-p 00000000 00:00 0 \n"
    "7fb2c0a63000-7fb2c0a65000 ---p 00000000 00:00 0 \n"
    "7fb2c0c57000-7fb2c0c58000 rw-s 00000000 00:01 372                        /dev/zero (deleted)\n"
    "7fb2c0c5a000-7fb2c0c5b000 rw-s 00000000 00:01 371                        /memfd:mfd "
    "(deleted)\n"
    "7fb2c0c5d000-7fb2c0c5e000 r--s 00000000 fe:00 10953875                   "
    "/tmp/p/back\\011slash\n"
    "7fb2c0c5e000-7fb2c0c5f000 r--p 00000000 fe:00 10953874                   /tmp/p/del "
    "(deleted)\n"
    "7fb2c0c5f000-7fb2c0c60000 r--s 00000000 fe:00 10953873                   /tmp/p/new\\012line "
    "(deleted)\n"
    "7fb2c0c62000-7fb2c0c66000 r--p 00000000 00:00 0                          [vvar]\n"
    "7ffd893c4000-7ffd893e5000 rw-p 00000000 00:00 0                          [stack]\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

TEST(ProcfsVma, parses_maps) {
  const std::vector<Vma> vmas = parse_maps(kMaps).value();
  ASSERT_EQ(vmas.size(), 12U);
  const Vma& text = vmas[0];
  EXPECT_EQ(text.start, 0x55adfdaba000U);
  EXPECT_EQ(text.end, 0x55adfdabc000U);
  EXPECT_EQ(text.size(), 0x2000U);
  EXPECT_EQ(text.prot, PROT_READ | PROT_EXEC);
  EXPECT_FALSE(text.shared);
  EXPECT_EQ(text.offset, 0x2000U);
  EXPECT_EQ(text.device, makedev(0xfe, 0));
  EXPECT_EQ(text.inode, 10953877U);
  EXPECT_EQ(text.name, "/tmp/p/v");
  EXPECT_FALSE(text.deleted);
  EXPECT_EQ(vmas[1].name, "[heap]");
  EXPECT_EQ(vmas[2].name, "");
  EXPECT_EQ(vmas[3].prot, PROT_NONE);
  EXPECT_TRUE(vmas[4].shared);
  EXPECT_EQ(vmas[4].name, "/dev/zero");
  EXPECT_TRUE(vmas[4].deleted);
  EXPECT_EQ(vmas[5].name, "/memfd:mfd");
  EXPECT_EQ(vmas[11].end, 0xffffffffff601000U);
}

TEST(ProcfsVma, undoes_only_the_escape_that_the_kernel_makes) {
  const std::vector<Vma> vmas = parse_maps(kMaps).value();
  EXPECT_EQ(vmas[6].name, "/tmp/p/back\\011slash");
  EXPECT_EQ(vmas[8].name, "/tmp/p/new\nline");
  EXPECT_TRUE(vmas[8].deleted) << "a file of that name: only map_files tells";
}

TEST(ProcfsVma, keeps_names_with_blanks_and_names_of_anonymous_memory) {
  const std::vector<Vma> vmas =
      parse_maps(
          "1000-2000 rw-p 00000000 00:00 0                          [anon:a name: with \\ ]\n"
          "2000-3000 rw-s 00000000 00:01 9                          [anon_shmem:x]\n"
          "3000-4000 r--p 00001000 08:01 7                          /a b  c\n")
          .value();
  EXPECT_EQ(vmas[0].name, "[anon:a name: with \\ ]");
  EXPECT_EQ(vmas[1].name, "[anon_shmem:x]");
  EXPECT_EQ(vmas[2].name, "/a b  c");
  EXPECT_EQ(vmas[2].to_string(), "3000-4000 r--p /a b  c");
}

constexpr std::string_view kSmaps =
    "7f0cbd600000-7f0cbda00000 rw-p 00000000 00:00 0 \n"
    "Size:               4096 kB\n"
    "KernelPageSize:        4 kB\n"
    "MMUPageSize:           4 kB\n"
    "Rss:                4092 kB\n"
    "Pss:                4092 kB\n"
    "Pss_Dirty:          4092 kB\n"
    "Shared_Clean:          0 kB\n"
    "Shared_Dirty:          0 kB\n"
    "Private_Clean:         0 kB\n"
    "Private_Dirty:      4092 kB\n"
    "Referenced:         4092 kB\n"
    "Anonymous:          4091 kB\n"
    "KSM:                   1 kB\n"
    "LazyFree:              2 kB\n"
    "AnonHugePages:      2048 kB\n"
    "ShmemPmdMapped:        3 kB\n"
    "FilePmdMapped:         5 kB\n"
    "Shared_Hugetlb:        6 kB\n"
    "Private_Hugetlb:       7 kB\n"
    "Swap:                  8 kB\n"
    "SwapPss:               8 kB\n"
    "Locked:                9 kB\n"
    "THPeligible:           1\n"
    "ProtectionKey:         3\n"
    "VmFlags: rd wr mr mw me ac hg \n"
    "7ffd893c4000-7ffd893e5000 rw-p 00000000 00:00 0                          [stack]\n"
    "Size:                132 kB\n"
    "Locked:                0 kB\n"
    "Rss:                  24 kB\n"
    "Brandnew:              1 of a kind\n"
    "VmFlags: rd wr mr mw me gd ac zz dp toolong sl \n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
    "Size:                  4 kB\n"
    "VmFlags: ex \n";

TEST(ProcfsVma, parses_smaps) {
  const std::vector<Vma> vmas = parse_smaps(kSmaps).value();
  ASSERT_EQ(vmas.size(), 3U);
  const VmaUsage& usage = vmas[0].usage;
  EXPECT_EQ(usage.kernel_page_size, 4096U);
  EXPECT_EQ(usage.rss, 4092U << 10);
  EXPECT_EQ(usage.anonymous, 4091U << 10);
  EXPECT_EQ(usage.ksm, 1U << 10);
  EXPECT_EQ(usage.lazy_free, 2U << 10);
  EXPECT_EQ(usage.anon_huge, 2048U << 10);
  EXPECT_EQ(usage.shmem_huge, 3U << 10);
  EXPECT_EQ(usage.file_huge, 5U << 10);
  EXPECT_EQ(usage.shared_hugetlb, 6U << 10);
  EXPECT_EQ(usage.private_hugetlb, 7U << 10);
  EXPECT_EQ(usage.swap, 8U << 10);
  EXPECT_EQ(usage.locked, 9U << 10);
  EXPECT_EQ(usage.protection_key, 3U);
  EXPECT_TRUE(vmas[0].has(VmFlag::hg));
  EXPECT_TRUE(vmas[0].has(VmFlag::ac));
  EXPECT_FALSE(vmas[0].has(VmFlag::nh));
  EXPECT_EQ(vmas[0].unknown_flags, "");
}

TEST(ProcfsVma, keeps_what_a_newer_kernel_says) {
  const std::vector<Vma> vmas = parse_smaps(kSmaps).value();
  EXPECT_EQ(vmas[1].usage.rss, 24U << 10) << "lines in another order";
  EXPECT_TRUE(vmas[1].has(VmFlag::gd));
  EXPECT_TRUE(vmas[1].has(VmFlag::dp));
  EXPECT_TRUE(vmas[1].has(VmFlag::sl));
  EXPECT_EQ(vmas[1].unknown_flags, "zz toolong");
}

TEST(ProcfsVma, knows_every_flag_by_its_code) {
  for (unsigned i = 0; i < static_cast<unsigned>(VmFlag::count); ++i) {
    const auto flag = static_cast<VmFlag>(i);
    const std::string text = fmt::format("1000-2000 rw-p 0 00:00 0\nVmFlags: {} \n", code_of(flag));
    const std::vector<Vma> vmas = parse_smaps(text).value();
    EXPECT_TRUE(vmas[0].has(flag)) << code_of(flag);
    EXPECT_EQ(vmas[0].unknown_flags, "");
  }
}

TEST(ProcfsVma, refuses_malformed_text) {
  for (const std::string_view text : {
           "x",
           "\n",
           "1000",
           "1000-",
           "1000-2000",
           "1000-2000 rw-p",
           "1000-2000 rwp 0 00:00 0",
           "1000-2000 rwzp 0 00:00 0",
           "1000-2000 rwx? 0 00:00 0",
           "2000-1000 rw-p 0 00:00 0",
           "11111111111111111-2 rw-p 0 00:00 0",
           "1000-2000 rw-p 0 00-00 0",
           "1000-2000 rw-p 0 00:00 ",
       }) {
    EXPECT_FALSE(parse_maps(text)) << text;
    EXPECT_FALSE(parse_smaps(text)) << text;
  }
  for (const std::string_view text : {
           "Rss: 4 kB\n",
           "1000-2000 rw-p 0 00:00 0\nRss: four kB\n",
           "1000-2000 rw-p 0 00:00 0\nRss: 4\n",
           "1000-2000 rw-p 0 00:00 0\nRss 4 kB\n",
           "1000-2000 rw-p 0 00:00 0\nRss:\n",
       }) {
    EXPECT_FALSE(parse_smaps(text)) << text;
  }
  EXPECT_TRUE(parse_maps("").value().empty());
}

TEST(ProcfsVma, cut_text_never_crashes) {
  for (size_t length = 0; length < kSmaps.size(); ++length)
    (void)parse_smaps(kSmaps.substr(0, length));
  for (size_t length = 0; length < kMaps.size(); ++length)
    (void)parse_maps(kMaps.substr(0, length));
}

}  // namespace
}  // namespace cryo::procfs
