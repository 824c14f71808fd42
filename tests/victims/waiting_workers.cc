#include <poll.h>
#include <signal.h>
#include <sys/select.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "tests/victims/channel.h"
#include "tests/victims/self_checking.h"

namespace cryo::victim {
namespace {

constexpr int64_t kMilliseconds = 7;
constexpr timespec kInterval = {0, kMilliseconds * 1000000};

// A wait of kInterval that began at `begin` may be late, by all the time that passes between a dump and the restore,
// but never early. Whether it ends at all, those see who watch the workers go round.
void expect_waited(int64_t begin, bool right_answer, const char* what) {
  const int error = errno;
  const int64_t waited = now_ns() - begin;
  if (!right_answer) complain(fmt::format("{} answered something else, errno {}", what, error));
  if (waited < kInterval.tv_nsec) complain(fmt::format("{} ended after {} ns", what, waited));
}

timespec interval_from_now() {
  const int64_t end = now_ns() + kInterval.tv_nsec;
  return {end / 1000000000, end % 1000000000};
}

void sleep_relative() {
  const int64_t begin = now_ns();
  expect_waited(begin, nanosleep(&kInterval, nullptr) == 0, "nanosleep");
}

void sleep_absolute() {
  const int64_t begin = now_ns();
  const timespec end = interval_from_now();
  expect_waited(begin, clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, nullptr) == 0,
                "clock_nanosleep");
}

void wait_in_poll() {
  const int64_t begin = now_ns();
  expect_waited(begin, poll(nullptr, 0, kMilliseconds) == 0, "poll");
}

void wait_in_select() {
  const int64_t begin = now_ns();
  timeval interval = {0, kMilliseconds * 1000};
  expect_waited(begin, select(0, nullptr, nullptr, nullptr, &interval) == 0, "select");
}

void wait_in_ppoll() {
  const int64_t begin = now_ns();
  timespec interval = kInterval;
  expect_waited(begin, ppoll(nullptr, 0, &interval, nullptr) == 0, "ppoll");
}

void wait_for_signal() {
  sigset_t never_sent;
  sigemptyset(&never_sent);
  sigaddset(&never_sent, SIGRTMIN + 3);
  const int64_t begin = now_ns();
  const int answer = sigtimedwait(&never_sent, nullptr, &kInterval);
  if (answer == -1 && errno == EINTR) return note_interruption();
  expect_waited(begin, answer == -1 && errno == EAGAIN, "sigtimedwait");
}

void wait_for_condition_that_never_holds() {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static pthread_cond_t condition = [] {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_t made;
    pthread_cond_init(&made, &attributes);
    return made;
  }();
  const int64_t begin = now_ns();
  const timespec end = interval_from_now();
  pthread_mutex_lock(&mutex);
  const int answer = pthread_cond_timedwait(&condition, &mutex, &end);
  pthread_mutex_unlock(&mutex);
  expect_waited(begin, answer == ETIMEDOUT, "pthread_cond_timedwait");
}

// Two threads that hand a ball to each other.
struct Table {
  std::mutex mutex;
  std::condition_variable changed;
  int64_t hits = 0;
};

void play(int64_t side) {
  static Table table;
  std::unique_lock lock(table.mutex);
  table.changed.wait(lock, [&] { return table.hits % 2 == side; });
  const int64_t mine = ++table.hits;
  table.changed.notify_one();
  table.changed.wait(lock, [&] { return table.hits != mine; });
  expect(table.hits == mine + 1, "somebody else played");
  lock.unlock();
  nanosleep(&kInterval, nullptr);
}
void ping() { play(0); }
void pong() { play(1); }

Channel& line() {
  static Channel channel;
  return channel;
}

void write_numbers() {
  line().send();
  poll(nullptr, 0, 2);
}

void read_numbers() { line().receive_next(); }

// Long enough to be interrupted in the middle, with all the state in vector registers.
void compute() {
  using Vector = double __attribute__((vector_size(32)));
  Vector a = {1, 2, 3, 4}, b = {5, 6, 7, 8}, c = {0.5, 0.25, 0.125, 1.5}, d = a - b;
  for (int i = 0; i < 200000; i++) {
    a = a * c + b;
    b = b * c + d;
    d = d * c + a;
  }
  static const Vector first = a;
  expect(memcmp(&first, &a, sizeof a) == 0, "vector registers have changed");
}

}  // namespace

std::vector<Worker> waiting_workers() {
  return {{"nanosleep", sleep_relative},
          {"nanosleep_abs", sleep_absolute},
          {"poll", wait_in_poll},
          {"select", wait_in_select},
          {"ppoll", wait_in_ppoll},
          {"sigtimedwait", wait_for_signal},
          {"cond_timedwait", wait_for_condition_that_never_holds},
          {"ping", ping},
          {"pong", pong},
          {"sender", write_numbers},
          {"receiver", read_numbers},
          {"compute", compute}};
}

}  // namespace cryo::victim
