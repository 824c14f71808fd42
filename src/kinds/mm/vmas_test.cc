#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "kinds/mm/own_memory_test.h"
#include "sys/uapi.h"
#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

using procfs::VmFlag;

constexpr int kReadWrite = PROT_READ | PROT_WRITE;
constexpr const char* kLosesIt = "CRIU 4.2 has no field for it";

char* map_private(size_t size, int prot = kReadWrite, int flags = 0) {
  void* at = mmap(nullptr, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return at == MAP_FAILED ? nullptr : static_cast<char*>(at);
}

// In the middle of a reservation, so that it is not merged with what is there by chance.
char* map_apart(size_t size) {
  char* around = map_private(size + 2 * kTestPage, PROT_NONE);
  if (around == nullptr || mprotect(around + kTestPage, size, kReadWrite) != 0) return nullptr;
  return around + kTestPage;
}

CHECKPOINT_TEST(Vmas, contents_behind_every_protection) {
  constexpr int kProtections[] = {
      PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, PROT_READ | PROT_EXEC, kReadWrite | PROT_EXEC};
  std::vector<char*> all;
  for (const int protection : kProtections) {
    char* memory = map_apart(2 * kTestPage);
    ASSERT_NE(memory, nullptr);
    memset(memory, 'p', kTestPage);
    ASSERT_EQ(mprotect(memory, 2 * kTestPage, protection), 0);
    all.push_back(memory);
  }
  checkpoint();
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(own_mapping(all[i]).prot, kProtections[i]);
    ASSERT_EQ(mprotect(all[i], 2 * kTestPage, kReadWrite), 0);
    EXPECT_EQ(all[i][kTestPage - 1], 'p');
    EXPECT_EQ(all[i][kTestPage], 0);
  }
}

CHECKPOINT_TEST(Vmas, file_private_with_changed_pages) {
  const int fd = open("file", O_RDWR | O_CREAT, 0600);
  const std::string text(3 * kTestPage + 100, 'f');
  ASSERT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  void* at = mmap(nullptr, 8 * kTestPage, kReadWrite, MAP_PRIVATE, fd, 0);
  ASSERT_NE(at, MAP_FAILED);
  char* memory = static_cast<char*>(at);
  memory[kTestPage] = 'x';
  memory[3 * kTestPage + 50] = 'y';   // the page that the end of the file is in
  memory[3 * kTestPage + 200] = 'z';  // behind the end
  ASSERT_EQ(ftruncate(fd, 3 * kTestPage + 60), 0);
  close(fd);
  checkpoint();
  EXPECT_EQ(memory[0], 'f');
  EXPECT_EQ(memory[kTestPage], 'x');
  EXPECT_EQ(memory[kTestPage + 1], 'f');
  EXPECT_EQ(memory[3 * kTestPage + 50], 'y');
}

CHECKPOINT_TEST(Vmas, file_shared) {
  const int fd = open("file", O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(ftruncate(fd, 2 * kTestPage), 0);
  void* writable = mmap(nullptr, 2 * kTestPage, kReadWrite, MAP_SHARED, fd, 0);
  const int reader = open("file", O_RDONLY);
  void* readable = mmap(nullptr, kTestPage, PROT_READ, MAP_SHARED, reader, kTestPage);
  ASSERT_NE(writable, MAP_FAILED);
  ASSERT_NE(readable, MAP_FAILED);
  close(reader);
  static_cast<char*>(writable)[kTestPage] = 'a';
  checkpoint();
  EXPECT_EQ(*static_cast<char*>(readable), 'a');
  static_cast<char*>(writable)[kTestPage] = 'b';
  EXPECT_EQ(*static_cast<char*>(readable), 'b');
  char byte = 0;
  EXPECT_EQ(pread(fd, &byte, 1, kTestPage), 1);
  EXPECT_EQ(byte, 'b');
  EXPECT_EQ(mprotect(readable, kTestPage, kReadWrite), -1);
}

CHECKPOINT_TEST(Vmas, advice) {
  struct Advice {
    int advice;
    VmFlag flag;
  };
  constexpr Advice kAll[] = {{MADV_SEQUENTIAL, VmFlag::sr}, {MADV_RANDOM, VmFlag::rr},
                             {MADV_DONTFORK, VmFlag::dc},   {MADV_DONTDUMP, VmFlag::dd},
                             {MADV_MERGEABLE, VmFlag::mg},  {MADV_HUGEPAGE, VmFlag::hg},
                             {MADV_NOHUGEPAGE, VmFlag::nh}, {MADV_WIPEONFORK, VmFlag::wf}};
  std::vector<char*> memory;
  for (const Advice& one : kAll) {
    char* at = map_apart(4 * kTestPage);
    ASSERT_NE(at, nullptr);
    at[0] = 'a';
    ASSERT_EQ(madvise(at, 4 * kTestPage, one.advice), 0);
    memory.push_back(at);
  }
  checkpoint();
  for (size_t i = 0; i < memory.size(); ++i) {
    EXPECT_TRUE(own_mapping(memory[i]).has(kAll[i].flag)) << code_of(kAll[i].flag);
    EXPECT_EQ(memory[i][0], 'a');
  }
}

CHECKPOINT_TEST(Vmas, lazily_freed_and_cold_pages) {
  char* memory = map_apart(8 * kTestPage);
  memset(memory, 'l', 8 * kTestPage);
  ASSERT_EQ(madvise(memory, 4 * kTestPage, MADV_FREE), 0);
  ASSERT_EQ(madvise(memory + 4 * kTestPage, 4 * kTestPage, MADV_COLD), 0);
  memory[0] = 'm';
  checkpoint();
  EXPECT_EQ(memory[0], 'm');
  EXPECT_TRUE(memory[kTestPage] == 'l' || memory[kTestPage] == 0);
  EXPECT_EQ(memory[5 * kTestPage], 'l');
}

CHECKPOINT_TEST(Vmas, locks, except({"peer_restores_ours", "we_restore_peers"}, kLosesIt)) {
  char* locked = map_apart(4 * kTestPage);
  ASSERT_EQ(mlock(locked, 4 * kTestPage), 0);
  char* on_fault = map_apart(4 * kTestPage);
  ASSERT_EQ(syscall(SYS_mlock2, on_fault, 4 * kTestPage, MLOCK_ONFAULT), 0);
  on_fault[kTestPage] = 'o';
  char* unreadable = map_apart(4 * kTestPage);
  unreadable[0] = 'u';
  ASSERT_EQ(mlock(unreadable, 4 * kTestPage), 0);
  ASSERT_EQ(mprotect(unreadable, 4 * kTestPage, PROT_NONE), 0);
  checkpoint();
  EXPECT_TRUE(own_mapping(locked).has(VmFlag::lo));
  EXPECT_FALSE(own_mapping(locked).has(VmFlag::lf));
  EXPECT_EQ(own_mapping(locked).usage.rss, 4 * kTestPage);
  EXPECT_TRUE(own_mapping(on_fault).has(VmFlag::lf));
  EXPECT_EQ(own_mapping(on_fault).usage.rss, kTestPage);
  EXPECT_EQ(on_fault[kTestPage], 'o');
  EXPECT_TRUE(own_mapping(unreadable).has(VmFlag::lo));
}

CHECKPOINT_TEST(Vmas, locks_of_mappings_to_come,
                except({"peer_restores_ours", "we_restore_peers"}, kLosesIt)) {
  ASSERT_EQ(mlockall(MCL_FUTURE | MCL_ONFAULT), 0);
  checkpoint();
  char* memory = map_private(2 * kTestPage, PROT_READ);
  EXPECT_TRUE(own_mapping(memory).has(VmFlag::lo));
  EXPECT_TRUE(own_mapping(memory).has(VmFlag::lf));
  ASSERT_EQ(mlockall(MCL_FUTURE), 0);
  checkpoint();
  memory = map_private(2 * kTestPage, PROT_READ, MAP_NORESERVE);
  EXPECT_TRUE(own_mapping(memory).has(VmFlag::lo));
  EXPECT_FALSE(own_mapping(memory).has(VmFlag::lf));
  ASSERT_EQ(munlockall(), 0);
  checkpoint();
  memory = map_private(2 * kTestPage, PROT_READ | PROT_EXEC, MAP_NORESERVE);
  EXPECT_FALSE(own_mapping(memory).has(VmFlag::lo));
}

CHECKPOINT_TEST(Vmas, guard_regions) {
  char* memory = map_apart(16 * kTestPage);
  memset(memory, 'g', 16 * kTestPage);
  if (madvise(memory + 4 * kTestPage, 2 * kTestPage, MADV_GUARD_INSTALL) != 0)
    GTEST_SKIP() << "this kernel has no guard regions";
  ASSERT_EQ(madvise(memory + 15 * kTestPage, kTestPage, MADV_GUARD_INSTALL), 0);
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  // The kernel reads from the page for us, and says if it cannot.
  const auto readable = [&](const char* at) { return write(pipes[1], at, 1) == 1; };
  const auto check = [&] {
    for (size_t page = 0; page < 16; ++page)
      EXPECT_EQ(readable(memory + page * kTestPage), page != 4 && page != 5 && page != 15) << page;
  };
  check();
  close(pipes[0]);
  close(pipes[1]);
  checkpoint();
  ASSERT_EQ(pipe(pipes), 0);
  check();
  EXPECT_EQ(memory[0], 'g');
  EXPECT_EQ(memory[6 * kTestPage], 'g');
  ASSERT_EQ(madvise(memory + 4 * kTestPage, 2 * kTestPage, MADV_GUARD_REMOVE), 0);
  EXPECT_EQ(memory[4 * kTestPage], 0);
  close(pipes[0]);
  close(pipes[1]);
}

CHECKPOINT_TEST(Vmas, droppable) {
  void* at = mmap(nullptr, 4 * kTestPage, kReadWrite, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) GTEST_SKIP() << "this kernel has no MAP_DROPPABLE";
  char* memory = static_cast<char*>(at);
  memory[0] = 'd';
  checkpoint();
  EXPECT_TRUE(own_mapping(memory).has(VmFlag::dp));
  EXPECT_TRUE(own_mapping(memory).has(VmFlag::wf));
  EXPECT_TRUE(memory[0] == 'd' || memory[0] == 0);
}

CHECKPOINT_TEST(Vmas, sealed, except({"peer_restores_ours", "we_restore_peers"}, kLosesIt)) {
  char* memory = map_apart(2 * kTestPage);
  memory[0] = 's';
  if (syscall(sys::kMseal, memory, 2 * kTestPage, 0) != 0)
    GTEST_SKIP() << "this kernel has no mseal";
  checkpoint();
  EXPECT_TRUE(own_mapping(memory).has(VmFlag::sl));
  EXPECT_EQ(memory[0], 's');
  EXPECT_EQ(munmap(memory, kTestPage), -1);
}

CHECKPOINT_TEST(Vmas, memory_policies,
                except({"peer_restores_ours", "we_restore_peers"}, kLosesIt)) {
  unsigned long mask = 1;
  char* memory = map_apart(4 * kTestPage);
  if (syscall(SYS_mbind, memory, 4 * kTestPage, MPOL_BIND, &mask, 64, 0) != 0)
    GTEST_SKIP() << "this kernel has no NUMA";
  char* local = map_apart(4 * kTestPage);
  ASSERT_EQ(syscall(SYS_mbind, local, 4 * kTestPage, MPOL_LOCAL, nullptr, 0, 0), 0);
  memory[0] = 'n';
  ASSERT_EQ(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &mask, 64), 0);
  checkpoint();
  int mode = -1;
  unsigned long found[16] = {};
  ASSERT_EQ(syscall(SYS_get_mempolicy, &mode, found, 1024, memory, MPOL_F_ADDR), 0);
  EXPECT_EQ(mode, MPOL_BIND);
  EXPECT_EQ(found[0], 1U);
  ASSERT_EQ(syscall(SYS_get_mempolicy, &mode, found, 1024, local, MPOL_F_ADDR), 0);
  EXPECT_EQ(mode, MPOL_LOCAL);
  ASSERT_EQ(syscall(SYS_get_mempolicy, &mode, found, 1024, nullptr, 0), 0);
  EXPECT_EQ(mode, MPOL_INTERLEAVE);
  EXPECT_EQ(found[0], 1U);
}

__attribute__((noinline)) int use_stack(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : use_stack(depth - 1) + room[0] - static_cast<char>(depth) + 1;
}

CHECKPOINT_TEST(Vmas, stack_and_heap_grow) {
  char* end = static_cast<char*>(sbrk(3 * static_cast<intptr_t>(kTestPage)));
  end[0] = 'h';
  checkpoint();
  EXPECT_EQ(end[0], 'h');
  EXPECT_EQ(sbrk(0), end + 3 * kTestPage);
  char* more = static_cast<char*>(sbrk(1 << 20));
  EXPECT_EQ(more, end + 3 * kTestPage);
  more[(1 << 20) - 1] = 'i';
  EXPECT_EQ(sbrk(-(1 << 20)), more + (1 << 20));
  EXPECT_EQ(use_stack(1000), 1000);  // 4 MB
}

CHECKPOINT_TEST(Vmas, growing_down) {
  void* at =
      mmap(nullptr, 4 * kTestPage, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  static_cast<char*>(at)[5] = 'g';
  checkpoint();
  EXPECT_TRUE(own_mapping(at).has(VmFlag::gd));
  EXPECT_EQ(static_cast<char*>(at)[5], 'g');
}

CHECKPOINT_TEST(Vmas, reservations_of_terabytes) {
  constexpr size_t kSize = size_t{8} << 40;
  char* none = map_private(kSize, PROT_NONE, MAP_NORESERVE);
  ASSERT_NE(none, nullptr);
  char* usable = map_private(kSize, kReadWrite, MAP_NORESERVE);
  ASSERT_NE(usable, nullptr);
  for (size_t i = 0; i < 8; ++i) usable[i << 40 | 5] = static_cast<char>(i);
  checkpoint();
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(usable[i << 40 | 5], static_cast<char>(i));
  EXPECT_TRUE(own_mapping(none).has(VmFlag::nr));
  EXPECT_EQ(own_mapping(none).prot, PROT_NONE);
}

CHECKPOINT_TEST(Vmas, vsyscall_page) {
  using Time = long (*)(long*);
  const auto call = reinterpret_cast<Time>(0xffffffffff600400);  // NOLINT: an address of the ABI
  const bool there = own_mapping(reinterpret_cast<void*>(0xffffffffff600000)).size() != 0;
  if (!there) GTEST_SKIP() << "this kernel has no vsyscall page";
  checkpoint();
  EXPECT_GT(call(nullptr), 1'000'000'000);
}

CHECKPOINT_TEST(Vmas, userfaultfd_is_refused, dump_refused("userfaultfd")) {
  const long fd = syscall(SYS_userfaultfd, O_CLOEXEC);
  if (fd < 0) GTEST_SKIP() << "userfaultfd is not to be had";
  struct {
    uint64_t api, features, ioctls;
  } api = {0xAA, 0, 0};
  ASSERT_EQ(syscall(SYS_ioctl, fd, 0xc018aa3f, &api), 0);
  char* memory = map_apart(4 * kTestPage);
  struct {
    uint64_t start, size, mode, ioctls;
  } range = {reinterpret_cast<uint64_t>(memory), 4 * kTestPage, 1, 0};
  ASSERT_EQ(syscall(SYS_ioctl, fd, 0xc020aa00, &range), 0);
  checkpoint();
}

CHECKPOINT_TEST(Vmas, sysv_segment_is_refused, dump_refused("System V shared memory")) {
  const long id = syscall(SYS_shmget, 0, 4096, 01600);
  ASSERT_GE(id, 0);
  ASSERT_NE(syscall(SYS_shmat, id, nullptr, 0), -1);
  syscall(SYS_shmctl, id, 0, nullptr);  // IPC_RMID: gone with us
  checkpoint();
}

CHECKPOINT_TEST(Vmas, aio_ring_is_refused, dump_refused("asynchronous I/O")) {
  unsigned long context = 0;
  ASSERT_EQ(syscall(SYS_io_setup, 8, &context), 0);
  checkpoint();
}

CHECKPOINT_TEST(Vmas, perf_ring_is_refused, dump_refused("perf_event")) {
  uint32_t attributes[32] = {1, 128};  // PERF_TYPE_SOFTWARE
  const long fd = syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0);
  if (fd < 0) GTEST_SKIP() << "perf events are not to be had";
  ASSERT_NE(mmap(nullptr, 2 * kTestPage, kReadWrite, MAP_SHARED, static_cast<int>(fd), 0),
            MAP_FAILED);
  close(static_cast<int>(fd));
  checkpoint();
}

}  // namespace
}  // namespace cryo
