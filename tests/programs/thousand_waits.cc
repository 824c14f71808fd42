// A thousand threads, each in one of many kinds of waits or computing. Prints "ready" when all have begun; when the file
// may-end appears, everything that is waited for happens, and every thread says whether its wait ended as it should: not
// by EINTR, not too early, with what was sent. Prints "right N" and "wrong KIND ..." at last.
//
// Argument: a number above 0 lets waits fail with EINTR which every stop interrupts (signal(7)).
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

namespace {

constexpr int kThreads = 1000;
constexpr timespec kLong{3600, 0};

std::atomic<int> begun{0}, right{0};
std::atomic<bool> may_end{false};
bool interruptions_are_fine = false;

// What is waited for; all of it is shared by the threads of a kind.
std::atomic<uint32_t> futex_word{0};
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
sem_t semaphore;
int read_pipe[2], poll_pipe[2], epoll_fd, event_fd;

uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

long futex_wait(const timespec* limit) {
  return syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, limit, nullptr, 0);
}

bool interrupted() { return errno == EINTR && interruptions_are_fine; }

// Woken, or the value has changed before.
bool futex() { return futex_wait(nullptr) == 0 || errno == EAGAIN; }
bool futex_with_limit() { return futex_wait(&kLong) == 0 || errno == EAGAIN || interrupted(); }

bool condition_variable() {
  pthread_mutex_lock(&mutex);
  while (!may_end) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  return true;
}

bool condition_variable_with_limit() {
  timespec until{};
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += kLong.tv_sec;
  int result = 0;
  pthread_mutex_lock(&mutex);
  while (!may_end && result == 0) result = pthread_cond_timedwait(&condition, &mutex, &until);
  pthread_mutex_unlock(&mutex);
  return result == 0;
}

bool lock() { return pthread_rwlock_rdlock(&rwlock) == 0 && pthread_rwlock_unlock(&rwlock) == 0; }
bool counting_semaphore() { return sem_wait(&semaphore) == 0; }

bool sleeps(clockid_t clock, bool until) {
  bool all_right = true;
  while (!may_end) {
    const uint64_t begin = now_ns();
    timespec time{0, 50'000'000};
    if (until) {
      clock_gettime(clock, &time);
      time.tv_nsec += 50'000'000;
      time.tv_sec += time.tv_nsec / 1'000'000'000;
      time.tv_nsec %= 1'000'000'000;
    }
    errno = clock_nanosleep(clock, until ? TIMER_ABSTIME : 0, &time, nullptr);
    if (interrupted()) continue;
    all_right &= errno == 0 && now_ns() >= begin + 45'000'000;
  }
  return all_right;
}
bool sleep_for() { return sleeps(CLOCK_MONOTONIC, false); }
bool sleep_until() { return sleeps(CLOCK_MONOTONIC, true); }

bool reading() {
  char byte = 0;
  return read(read_pipe[0], &byte, 1) == 1 && byte == 'r';
}

bool polling() {
  pollfd one{poll_pipe[0], POLLIN, 0};
  const int result = poll(&one, 1, -1);
  return result < 0 ? interrupted() : result == 1 && one.revents == POLLIN;
}

bool selecting() {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(poll_pipe[0], &set);
  timeval limit{kLong.tv_sec, 0};
  return select(poll_pipe[0] + 1, &set, nullptr, nullptr, &limit) == 1;
}

bool epolling() {
  epoll_event event{};
  const int result = epoll_wait(epoll_fd, &event, 1, static_cast<int>(kLong.tv_sec) * 1000);
  return result < 0 ? interrupted() : result == 1 && event.data.u64 == 42;
}

// SIGUSR1 is blocked everywhere and sent to each of these threads with a value.
bool signal_wait() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  siginfo_t info{};
  const int result = sigtimedwait(&set, &info, &kLong);
  return result < 0 ? interrupted() : result == SIGUSR1 && info.si_value.sival_int == 77;
}

thread_local volatile sig_atomic_t handled = 0;

bool pausing() {
  while (handled == 0) {
    sigset_t none;
    sigfillset(&none);
    sigdelset(&none, SIGUSR2);
    if (sigsuspend(&none) != -1 || errno != EINTR) return false;
  }
  return handled == 1;
}

uint64_t next(uint64_t state) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^ (state << 17);
}

// With pauses, so that the others get their turn.
bool computing() {
  uint64_t state = 88172645463325252;
  double sum = 0;
  uint64_t steps = 0;
  while (!may_end) {
    for (int i = 0; i < 20000; i++, steps++) {
      state = next(state);
      sum += static_cast<double>(state >> 40) * 0.5;
    }
    usleep(20'000);
  }
  uint64_t again = 88172645463325252;
  double sum_again = 0;
  for (uint64_t i = 0; i < steps; i++) {
    again = next(again);
    sum_again += static_cast<double>(again >> 40) * 0.5;
  }
  return state == again && sum == sum_again;
}

struct Kind {
  const char* name;
  bool (*wait)();
};
constexpr Kind kKinds[] = {
    {"futex", futex},
    {"futex with limit", futex_with_limit},
    {"condition variable", condition_variable},
    {"condition variable with limit", condition_variable_with_limit},
    {"lock", lock},
    {"semaphore", counting_semaphore},
    {"sleep for", sleep_for},
    {"sleep until", sleep_until},
    {"read", reading},
    {"poll", polling},
    {"select", selecting},
    {"epoll", epolling},
    {"signal", signal_wait},
    {"pause", pausing},
    {"computing", computing},
};
constexpr size_t kKindCount = sizeof kKinds / sizeof kKinds[0];

size_t kind_of(size_t thread) { return thread % kKindCount; }

void* run(void* argument) {
  const Kind& kind = kKinds[kind_of(reinterpret_cast<uintptr_t>(argument))];
  ++begun;
  if (kind.wait())
    ++right;
  else
    printf("wrong %s: %s\n", kind.name, strerror(errno));
  return nullptr;
}

void prepare() {
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigaddset(&blocked, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  struct sigaction action {};
  action.sa_handler = [](int) { handled = handled + 1; };
  sigaction(SIGUSR2, &action, nullptr);
  sem_init(&semaphore, 0, 0);
  pthread_rwlock_wrlock(&rwlock);
  event_fd = eventfd(0, 0);
  epoll_fd = epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 42;
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event);
}

void start(std::vector<pthread_t>& threads) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 << 10);
  for (size_t i = 0; i < threads.size(); i++)
    if (pthread_create(&threads[i], &attributes, run, reinterpret_cast<void*>(i)) != 0) abort();
}

void let_everything_happen(const std::vector<pthread_t>& threads) {
  may_end = true;
  futex_word = 1;
  syscall(SYS_futex, &futex_word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
  pthread_mutex_lock(&mutex);
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&mutex);
  pthread_rwlock_unlock(&rwlock);
  const uint64_t one = 1;
  bool written = write(event_fd, &one, sizeof one) == 8 && write(poll_pipe[1], "p", 1) == 1;
  for (size_t i = 0; i < threads.size(); i++) {
    const auto wait = kKinds[kind_of(i)].wait;
    if (wait == counting_semaphore) sem_post(&semaphore);
    if (wait == reading) written &= write(read_pipe[1], "r", 1) == 1;
    if (wait == signal_wait) pthread_sigqueue(threads[i], SIGUSR1, sigval{.sival_int = 77});
    if (wait == pausing) pthread_kill(threads[i], SIGUSR2);
  }
  if (!written) abort();
}

}  // namespace

int main(int count, char** arguments) {
  interruptions_are_fine = count > 1 && atoi(arguments[1]) > 0;
  setvbuf(stdout, nullptr, _IOLBF, 0);
  if (pipe(read_pipe) != 0 || pipe(poll_pipe) != 0) abort();
  prepare();
  std::vector<pthread_t> threads(kThreads);
  start(threads);
  while (begun < kThreads) usleep(1000);
  printf("ready\n");
  while (access("may-end", F_OK) != 0) usleep(10'000);
  let_everything_happen(threads);
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  printf("right %d\n", right.load());
  return right == kThreads ? 0 : 1;
}
