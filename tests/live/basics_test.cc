// What every live test stands on: a process with a bit of memory, a file and some threads.
#include <fcntl.h>
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

}  // namespace
}  // namespace cryo
