#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "kinds/mm/own_memory_test.h"
#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

using procfs::VmFlag;

char* map_shared(size_t size, int fd = -1, int prot = PROT_READ | PROT_WRITE) {
  void* at = mmap(nullptr, size, prot, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
  EXPECT_NE(at, MAP_FAILED) << strerror(errno);
  return static_cast<char*>(at);
}

int make_memfd(const char* name, off_t size, unsigned flags = 0) {
  const int fd = memfd_create(name, flags);
  EXPECT_GE(fd, 0) << strerror(errno);
  EXPECT_EQ(ftruncate(fd, size), 0);
  return fd;
}

CHECKPOINT_TEST(SharedMemory, anonymous_keeps_contents_and_holes) {
  char* memory = map_shared(64 * kTestPage);
  memory[0] = 'a';
  memory[7 * kTestPage + 5] = 'b';
  memory[63 * kTestPage] = 'c';
  memory[30 * kTestPage] = 0;  // touched, but zero
  checkpoint();
  EXPECT_EQ(memory[0], 'a');
  EXPECT_EQ(memory[7 * kTestPage + 5], 'b');
  EXPECT_EQ(memory[63 * kTestPage], 'c');
  EXPECT_EQ(memory[30 * kTestPage], 0);
  memory[1] = 'd';
  EXPECT_EQ(memory[1], 'd');
}

CHECKPOINT_TEST(SharedMemory, anonymous_read_only_and_without_access) {
  char* memory = map_shared(4 * kTestPage);
  memset(memory, 'x', 4 * kTestPage);
  ASSERT_EQ(mprotect(memory, kTestPage, PROT_READ), 0);
  ASSERT_EQ(mprotect(memory + 2 * kTestPage, kTestPage, PROT_NONE), 0);
  checkpoint();
  EXPECT_EQ(memory[10], 'x');
  EXPECT_EQ(own_mapping(memory).prot, PROT_READ);
  EXPECT_EQ(own_mapping(memory + 2 * kTestPage).prot, PROT_NONE);
  ASSERT_EQ(mprotect(memory, 4 * kTestPage, PROT_READ | PROT_WRITE), 0);
  EXPECT_EQ(memory[2 * kTestPage + 7], 'x');
  memory[0] = 'y';
}

CHECKPOINT_TEST(SharedMemory, empty_gibibyte) {
  char* memory = map_shared(size_t{1} << 30);
  memory[size_t{1} << 29] = 'm';
  checkpoint();
  EXPECT_EQ(memory[size_t{1} << 29], 'm');
  EXPECT_EQ(memory[12345], 0);
}

CHECKPOINT_TEST(SharedMemory, private_mapping_of_zero_device) {
  const int fd = open("/dev/zero", O_RDWR);
  void* at = mmap(nullptr, 4 * kTestPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  ASSERT_NE(at, MAP_FAILED);
  close(fd);
  char* memory = static_cast<char*>(at);
  memory[kTestPage] = 'z';
  checkpoint();
  EXPECT_EQ(memory[kTestPage], 'z');
  EXPECT_EQ(memory[0], 0);
}

CHECKPOINT_TEST(SharedMemory, shared_mapping_of_zero_device) {
  const int fd = open("/dev/zero", O_RDWR);
  char* memory = map_shared(4 * kTestPage, fd);
  close(fd);
  memory[kTestPage] = 'z';
  checkpoint();
  EXPECT_EQ(memory[kTestPage], 'z');
  EXPECT_EQ(memory[0], 0);
}

CHECKPOINT_TEST(Memfd, keeps_contents_size_position_and_flags) {
  const int fd = make_memfd("some name", 10001);
  ASSERT_EQ(pwrite(fd, "hello", 5, 9000), 5);
  ASSERT_EQ(lseek(fd, 9000, SEEK_SET), 9000);
  ASSERT_EQ(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK), 0);
  ASSERT_EQ(fchmod(fd, 0640), 0);
  checkpoint();
  struct stat st {};
  ASSERT_EQ(fstat(fd, &st), 0);
  EXPECT_EQ(st.st_size, 10001);
  char text[5] = {};
  EXPECT_EQ(read(fd, text, 5), 5);
  EXPECT_EQ(memcmp(text, "hello", 5), 0);
  EXPECT_EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK),
            O_RDWR | O_APPEND | O_NONBLOCK);
  char link[64] = {};
  ASSERT_GT(readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), link, sizeof(link) - 1), 0);
  EXPECT_STREQ(link, "/memfd:some name (deleted)");
}

CHECKPOINT_TEST(Memfd, keeps_mode) {
  const int fd = make_memfd("mode", 0);
  ASSERT_EQ(fchmod(fd, 0640), 0);
  checkpoint();
  struct stat st {};
  ASSERT_EQ(fstat(fd, &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640U);
}

CHECKPOINT_TEST(Memfd, is_one_object_for_descriptors_and_mappings) {
  const int fd = make_memfd("shared", 3 * kTestPage);
  const int other = open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY);
  const int same = dup(fd);
  ASSERT_EQ(lseek(other, 100, SEEK_SET), 100);
  char* first = map_shared(3 * kTestPage, fd);
  char* second = map_shared(3 * kTestPage, other, PROT_READ);
  void* private_at =
      mmap(nullptr, 2 * kTestPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, kTestPage);
  ASSERT_NE(private_at, MAP_FAILED);
  char* mine = static_cast<char*>(private_at);
  first[0] = 'a';
  first[kTestPage] = 'b';
  mine[10] = 'c';  // page 1 is our own now, page 2 not yet
  checkpoint();
  EXPECT_EQ(second[0], 'a');
  EXPECT_EQ(mine[0], 'b');
  EXPECT_EQ(mine[10], 'c');
  EXPECT_EQ(first[kTestPage + 10], 0);
  first[2 * kTestPage] = 'd';
  EXPECT_EQ(second[2 * kTestPage], 'd');
  EXPECT_EQ(mine[kTestPage], 'd');
  char byte = 0;
  EXPECT_EQ(pread(other, &byte, 1, 2 * kTestPage), 1);
  EXPECT_EQ(byte, 'd');
  EXPECT_EQ(lseek(other, 0, SEEK_CUR), 100);
  EXPECT_EQ(lseek(same, 50, SEEK_SET), 50);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 50);
  EXPECT_EQ(fcntl(other, F_GETFL) & O_ACCMODE, O_RDONLY);
}

CHECKPOINT_TEST(Memfd, mapped_but_closed_and_longer_than_mapped) {
  const int fd = make_memfd("closed", 5 * kTestPage + 77);
  char* memory = map_shared(8 * kTestPage, fd);  // its end lies behind the end of the file
  memory[5 * kTestPage + 76] = 'e';
  close(fd);
  checkpoint();
  EXPECT_EQ(memory[5 * kTestPage + 76], 'e');
  memory[0] = 'f';
}

CHECKPOINT_TEST(Memfd, keeps_seals_with_a_writable_mapping) {
  const int fd = make_memfd("sealed", 2 * kTestPage, MFD_ALLOW_SEALING);
  char* memory = map_shared(2 * kTestPage, fd);
  memory[0] = 's';
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;
  ASSERT_EQ(fcntl(fd, F_ADD_SEALS, kSeals), 0);
  checkpoint();
  EXPECT_EQ(fcntl(fd, F_GET_SEALS), kSeals);
  EXPECT_EQ(memory[0], 's');
  memory[1] = 't';  // the mapping was there before the seal
  EXPECT_EQ(write(fd, "x", 1), -1);
  EXPECT_EQ(ftruncate(fd, 0), -1);
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
}

CHECKPOINT_TEST(Memfd, keeps_the_write_seal) {
  const int fd = make_memfd("ro", kTestPage, MFD_ALLOW_SEALING);
  ASSERT_EQ(write(fd, "text", 4), 4);
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  ASSERT_EQ(fcntl(fd, F_ADD_SEALS, kSeals), 0);
  const int reader = open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY);
  const char* memory = map_shared(kTestPage, reader, PROT_READ);
  checkpoint();
  EXPECT_EQ(fcntl(fd, F_GET_SEALS), kSeals);
  EXPECT_STREQ(memory, "text");
}

CHECKPOINT_TEST(Memfd, that_cannot_be_sealed) {
  const int fd = make_memfd("", 100);
  checkpoint();
  EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
}

}  // namespace
}  // namespace cryo
