#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <map>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

int add(int epoll, int fd, uint32_t events, uint64_t data) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = data;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

// What is ready, by the program's numbers.
std::map<uint64_t, uint32_t> ready(int epoll) {
  epoll_event events[16];
  const int count = epoll_wait(epoll, events, 16, 0);
  std::map<uint64_t, uint32_t> all;
  for (int i = 0; i < count; i++) all[events[i].data.u64] = events[i].events;
  return all;
}

using Ready = std::map<uint64_t, uint32_t>;

CHECKPOINT_TEST(Epoll, keeps_what_is_watched) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int counter = eventfd(0, 0);
  ASSERT_EQ(add(epoll, ends[0], EPOLLIN, 1), 0);
  ASSERT_EQ(add(epoll, ends[1], EPOLLOUT | EPOLLET, uint64_t{1} << 63), 0);
  ASSERT_EQ(add(epoll, counter, EPOLLIN | EPOLLONESHOT, 7), 0);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  checkpoint();
  EXPECT_EQ(ready(epoll), (Ready{{1, EPOLLIN}, {uint64_t{1} << 63, EPOLLOUT}}));
  EXPECT_EQ(ready(epoll), (Ready{{1, EPOLLIN}}));
  const uint64_t one = 1;
  ASSERT_EQ(write(counter, &one, sizeof one), 8);
  EXPECT_EQ(ready(epoll), (Ready{{1, EPOLLIN}, {7, EPOLLIN}}));
  ASSERT_EQ(write(counter, &one, sizeof one), 8);
  EXPECT_EQ(ready(epoll), (Ready{{1, EPOLLIN}}));
  EXPECT_EQ(add(epoll, ends[0], EPOLLIN, 1), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], nullptr), 0);
  EXPECT_EQ(fcntl(epoll, F_GETFD), FD_CLOEXEC);
}

CHECKPOINT_TEST(Epoll, keeps_sets_in_sets_and_duplicates) {
  const int inner = epoll_create1(0);
  const int outer = epoll_create1(0);
  const int counter = eventfd(1, 0);
  const int again = dup(counter);
  const int outer_again = dup(outer);
  ASSERT_EQ(add(inner, counter, EPOLLIN, 1), 0);
  ASSERT_EQ(add(inner, again, EPOLLIN, 2), 0);
  ASSERT_EQ(add(outer, inner, EPOLLIN, 3), 0);
  checkpoint();
  EXPECT_EQ(ready(inner), (Ready{{1, EPOLLIN}, {2, EPOLLIN}}));
  EXPECT_EQ(ready(outer_again), (Ready{{3, EPOLLIN}}));
  EXPECT_EQ(ready(outer), (Ready{{3, EPOLLIN}}));
}

// A set that watches a counter as number 100, where `what_now` is then.
void watch_number_of(int epoll, int what_now) {
  const int counter = eventfd(1, 0);
  const int number = 100;
  ASSERT_EQ(dup2(counter, number), number);
  ASSERT_EQ(add(epoll, number, EPOLLIN, 1), 0);
  close(number);
  if (what_now >= 0) {
    ASSERT_EQ(dup2(what_now, number), number);
  }
}

CHECKPOINT_TEST(Epoll, refuses_what_has_no_descriptor_any_more,
                dump_refused("watches a file added as descriptor")) {
  const int epoll = epoll_create1(0);
  watch_number_of(epoll, -1);
  checkpoint();
  EXPECT_EQ(ready(epoll), (Ready{{1, EPOLLIN}}));
}

CHECKPOINT_TEST(Epoll, refuses_a_number_that_is_another_file_now,
                dump_refused("watches a file added as descriptor")) {
  const int epoll = epoll_create1(0);
  watch_number_of(epoll, eventfd(0, 0));
  checkpoint();
  EXPECT_EQ(ready(epoll), (Ready{{1, EPOLLIN}}));
}

}  // namespace
}  // namespace cryo
