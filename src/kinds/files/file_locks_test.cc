#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

int make(const char* name) {
  const int fd = open(name, O_RDWR | O_CREAT, 0600);
  EXPECT_EQ(ftruncate(fd, 100), 0);
  return fd;
}

struct flock range(int type, off_t start, off_t length) {
  struct flock lock {};
  lock.l_type = static_cast<short>(type);
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

int set(int fd, int command, int type, off_t start, off_t length) {
  struct flock lock = range(type, start, length);
  return fcntl(fd, command, &lock);
}

// What stands in the way of another process that wants to write all of `name`: "type start length pid".
std::string others_see(const char* name, off_t from) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    struct flock lock = range(F_WRLCK, from, 0);
    const int fd = open(name, O_RDWR);
    (void)fcntl(fd, F_GETLK, &lock);
    const std::string text = lock.l_type == F_UNLCK
                                 ? "nothing"
                                 : fmt::format("{} {} {} {}", lock.l_type, lock.l_start, lock.l_len,
                                               lock.l_pid == getppid() ? 1 : 0);
    _exit(write(ends[1], text.data(), text.size()) < 0 ? 1 : 0);
  }
  waitpid(child, nullptr, 0);
  char text[100];
  const ssize_t size = read(ends[0], text, sizeof text);
  close(ends[0]);
  close(ends[1]);
  return std::string(text, size < 0 ? 0 : static_cast<size_t>(size));
}

bool can_flock(const char* name, int operation) {
  const int fd = open(name, O_RDWR);
  const bool can = flock(fd, operation | LOCK_NB) == 0;
  close(fd);
  return can;
}

const live::Words kLocks = {"--file-locks"};

CHECKPOINT_TEST(FileLocks, of_the_process_on_ranges, dump_options(kLocks),
                restore_options(kLocks)) {
  const int fd = make("data");
  const int other = make("other");
  ASSERT_EQ(set(fd, F_SETLK, F_WRLCK, 5, 10), 0);
  ASSERT_EQ(set(fd, F_SETLK, F_RDLCK, 50, 0), 0);
  ASSERT_EQ(set(other, F_SETLK, F_WRLCK, 0x40000000, 1), 0);  // as sqlite does
  const int duplicate = dup(fd);
  checkpoint();
  EXPECT_EQ(others_see("data", 0), fmt::format("{} 5 10 1", F_WRLCK));
  EXPECT_EQ(others_see("data", 20), fmt::format("{} 50 0 1", F_RDLCK));
  EXPECT_EQ(others_see("other", 0), fmt::format("{} {} 1 1", F_WRLCK, 0x40000000));
  close(duplicate);  // ends all of them
  EXPECT_EQ(others_see("data", 0), "nothing");
}

CHECKPOINT_TEST(FileLocks, of_descriptions, dump_options(kLocks), restore_options(kLocks)) {
  const int shared = make("shared");
  const int exclusive = make("exclusive");
  const int ofd = make("ofd");
  ASSERT_EQ(flock(shared, LOCK_SH), 0);
  ASSERT_EQ(flock(exclusive, LOCK_EX), 0);
  ASSERT_EQ(set(ofd, F_OFD_SETLK, F_WRLCK, 3, 4), 0);
  const int duplicate = dup(exclusive);
  checkpoint();
  EXPECT_TRUE(can_flock("shared", LOCK_SH));
  EXPECT_FALSE(can_flock("shared", LOCK_EX));
  EXPECT_FALSE(can_flock("exclusive", LOCK_SH));
  close(exclusive);
  EXPECT_FALSE(can_flock("exclusive", LOCK_SH));
  close(duplicate);
  EXPECT_TRUE(can_flock("exclusive", LOCK_SH));
  const int second = open("ofd", O_RDWR);
  EXPECT_EQ(set(second, F_OFD_SETLK, F_WRLCK, 6, 1), -1);
  EXPECT_EQ(set(second, F_OFD_SETLK, F_WRLCK, 7, 1), 0);
}

// The mapped file is open while the task is being made; closing it must not end the lock.
CHECKPOINT_TEST(FileLocks, of_a_file_that_is_mapped_too, dump_options(kLocks),
                restore_options(kLocks),
                except({"peer_restores_ours"},
                       "CRIU closes the mapped file after it took the lock")) {
  const int fd = make("data");
  void* mapped = mmap(nullptr, 100, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  ASSERT_EQ(set(fd, F_SETLK, F_WRLCK, 0, 10), 0);
  checkpoint();
  EXPECT_EQ(others_see("data", 0), fmt::format("{} 0 10 1", F_WRLCK));
}

CHECKPOINT_TEST(FileLocks, many_of_them, dump_options(kLocks), restore_options(kLocks)) {
  const int fd = make("data");
  for (int i = 0; i < 300; i++) ASSERT_EQ(set(fd, F_SETLK, F_WRLCK, 2 * i, 1), 0);
  checkpoint();
  for (int i = 0; i < 300; i += 17)
    EXPECT_EQ(others_see("data", 2 * i), fmt::format("{} {} 1 1", F_WRLCK, 2 * i));
}

CHECKPOINT_TEST(FileLocks, are_refused_without_the_option, dump_refused("use --file-locks")) {
  const int fd = make("data");
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  checkpoint();
  EXPECT_FALSE(can_flock("data", LOCK_SH));
}

CHECKPOINT_TEST(FileLocks, are_not_forgotten_without_the_option, dump_options(kLocks),
                restore_refused("restore it with --file-locks")) {
  const int fd = make("data");
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  checkpoint();
}

CHECKPOINT_TEST(FileLocks, that_others_took_are_said, dump_options(kLocks), restore_options(kLocks),
                restore_refused("is held by another process now"),
                between([](const live::Between& b) {
                  // Held by the harness until the end of the test.
                  static const int taken = open((b.directory + "/data").c_str(), O_RDWR);
                  ASSERT_EQ(flock(taken, LOCK_EX), 0);
                })) {
  const int fd = make("data");
  ASSERT_EQ(flock(fd, LOCK_SH), 0);
  checkpoint();
}

CHECKPOINT_TEST(FileLocks, leases_are_refused, dump_options(kLocks), dump_refused("a lease")) {
  const int fd = make("data");
  ASSERT_EQ(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
  checkpoint();
}

// As Java does; CRIU needs no option for it.
CHECKPOINT_TEST(FileLocks, held_by_a_mapping_alone,
                except({"peer_restores_ours", "we_restore_peers"}, "CRIU forgets them")) {
  const int fd = make("data");
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  void* mapped = mmap(nullptr, 100, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  close(fd);
  checkpoint();
  EXPECT_FALSE(can_flock("data", LOCK_SH));
  munmap(mapped, 100);
  EXPECT_TRUE(can_flock("data", LOCK_SH));
}

}  // namespace
}  // namespace cryo
