// What every live test stands on: a process with a bit of memory, a file and some threads.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <numeric>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

CHECKPOINT_TEST(Basics, keeps_pid_and_memory) {
  const pid_t pid = getpid();
  std::vector<int> numbers(100000);
  std::iota(numbers.begin(), numbers.end(), 7);
  checkpoint();
  EXPECT_EQ(getpid(), pid);
  for (size_t i = 0; i < numbers.size(); i++) ASSERT_EQ(numbers[i], static_cast<int>(i) + 7);
}

CHECKPOINT_TEST(Basics, keeps_file_position) {
  const int fd = open("data", O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(write(fd, "0123456789", 10), 10);
  ASSERT_EQ(lseek(fd, 4, SEEK_SET), 4);
  checkpoint();
  char digit = 0;
  ASSERT_EQ(read(fd, &digit, 1), 1);
  EXPECT_EQ(digit, '4');
}

CHECKPOINT_TEST(Basics, keeps_threads) {
  live::Gate go;
  std::atomic<int> went{0};
  live::Threads threads(8, [&](int index) {
    thread_local int own = index;
    const pid_t tid = gettid();
    go.wait();
    EXPECT_EQ(own, index);
    EXPECT_EQ(gettid(), tid);
    went++;
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  EXPECT_EQ(went, 0);
  go.open();
  threads.join();
  EXPECT_EQ(went, 8);
}

CHECKPOINT_TEST(Basics, can_be_checkpointed_twice_by_itself) {
  int generation = 1;
  checkpoint();
  generation++;
  checkpoint();
  EXPECT_EQ(generation, 2);
}

// The process has a file of ten bytes open, which is shorter when it is restored.
CHECKPOINT_TEST(Basics, is_not_restored_on_changed_file,
                restore_refused("has changed since the dump: it has 3 bytes"),
                between([](const live::Between& dead) {
                  ASSERT_EQ(truncate((dead.directory + "/data").c_str(), 3), 0);
                })) {
  const int fd = open("data", O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(write(fd, "0123456789", 10), 10);
  checkpoint();
}

// Held locks need an option that was not given.
CHECKPOINT_TEST(Basics, is_not_dumped_with_lock, dump_refused("lock")) {
  const int fd = open("data", O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  checkpoint();
  const int other = open("data", O_RDWR);
  EXPECT_EQ(flock(other, LOCK_EX | LOCK_NB), -1);
}

}  // namespace
}  // namespace cryo
