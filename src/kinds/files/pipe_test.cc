#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

CHECKPOINT_TEST(Pipe, keeps_contents_size_and_flags) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  ASSERT_EQ(fcntl(ends[1], F_SETFL, 0), 0);
  ASSERT_GE(fcntl(ends[0], F_SETPIPE_SZ, 1 << 18), 1 << 18);
  const std::string text(100000, 'p');
  ASSERT_EQ(write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  const int again = dup(ends[1]);
  const int by_name = open(("/proc/self/fd/" + std::to_string(ends[0])).c_str(), O_RDWR);
  const int flags = fcntl(by_name, F_GETFL);
  checkpoint();
  EXPECT_EQ(fcntl(by_name, F_GETFL) & O_ACCMODE, flags & O_ACCMODE);
  EXPECT_EQ(fcntl(ends[0], F_GETFL), O_RDONLY | O_NONBLOCK);
  EXPECT_EQ(fcntl(ends[1], F_GETFL), O_WRONLY);
  EXPECT_EQ(fcntl(ends[0], F_GETPIPE_SZ), 1 << 18);
  std::string got(200000, 0);
  EXPECT_EQ(read(ends[0], got.data(), got.size()), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(read(ends[0], got.data(), got.size()), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(write(again, "x", 1), 1);
  EXPECT_EQ(read(ends[0], got.data(), got.size()), 1);
  close(again);
  close(by_name);
  close(ends[1]);
  EXPECT_EQ(read(ends[0], got.data(), got.size()), 0);
}

CHECKPOINT_TEST(Pipe, keeps_an_empty_one_and_one_whose_writer_is_gone) {
  int empty[2], closed[2];
  ASSERT_EQ(pipe(empty), 0);
  ASSERT_EQ(pipe(closed), 0);
  ASSERT_EQ(write(closed[1], "rest", 4), 4);
  close(closed[1]);
  checkpoint();
  char text[16];
  EXPECT_EQ(read(closed[0], text, sizeof text), 4);
  EXPECT_EQ(read(closed[0], text, sizeof text), 0);
  EXPECT_EQ(write(empty[1], "1", 1), 1);
  EXPECT_EQ(read(empty[0], text, sizeof text), 1);
}

CHECKPOINT_TEST(Pipe, refuses_packets, dump_refused("pipe of packets")) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_DIRECT), 0);
  checkpoint();
}

CHECKPOINT_TEST(EventFd, keeps_counter) {
  const int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
  checkpoint();
  uint64_t value = 0;
  EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  ASSERT_EQ(read(fd, &value, 8), 8);
  EXPECT_EQ(value, 3u);
  EXPECT_EQ(read(fd, &value, 8), -1);
  EXPECT_EQ(errno, EAGAIN);
}

CHECKPOINT_TEST(EventFd, keeps_large_counter,
                except({"peer_restores_ours"}, "CRIU sets no more than the lower 32 bits")) {
  const int fd = eventfd(0, EFD_NONBLOCK);
  const uint64_t many = uint64_t{1} << 60;
  ASSERT_EQ(write(fd, &many, 8), 8);
  checkpoint();
  uint64_t value = 0;
  ASSERT_EQ(read(fd, &value, 8), 8);
  EXPECT_EQ(value, many);
}

CHECKPOINT_TEST(EventFd, refuses_semaphores, dump_refused("counts as a semaphore")) {
  EXPECT_GE(eventfd(3, EFD_SEMAPHORE), 0);
  checkpoint();
}

}  // namespace
}  // namespace cryo
