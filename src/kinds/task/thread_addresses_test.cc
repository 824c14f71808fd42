#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

CHECKPOINT_TEST(ThreadAddresses, robust_mutex_tells_of_a_death) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_t mutex;
  ASSERT_EQ(pthread_mutex_init(&mutex, &attributes), 0);
  live::Gate go;
  live::Threads threads(1, [&](int) {
    ASSERT_EQ(pthread_mutex_lock(&mutex), 0);
    go.wait();  // and ends without unlocking
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  go.open();
  threads.join();
  EXPECT_EQ(pthread_mutex_lock(&mutex), EOWNERDEAD);
}

CHECKPOINT_TEST(ThreadAddresses, alternate_signal_stacks) {
  static thread_local volatile uintptr_t ran_at = 0;
  struct sigaction action {};
  action.sa_handler = [](int) {
    char here = 0;
    ran_at = reinterpret_cast<uintptr_t>(&here);
  };
  action.sa_flags = SA_ONSTACK;
  ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
  constexpr size_t kSize = 64 << 10;
  static char stacks[2][kSize];
  const auto set = [&](int index) {
    const stack_t stack = {stacks[index], 0, kSize};
    ASSERT_EQ(sigaltstack(&stack, nullptr), 0);
  };
  const auto expect_used = [&](int index) {
    const auto begin = reinterpret_cast<uintptr_t>(stacks[index]);
    stack_t now{};
    EXPECT_EQ(sigaltstack(nullptr, &now), 0);
    EXPECT_EQ(now.ss_sp, stacks[index]);
    EXPECT_EQ(now.ss_size, kSize);
    EXPECT_EQ(raise(SIGUSR1), 0);
    EXPECT_GE(ran_at, begin);
    EXPECT_LT(ran_at, begin + kSize);
  };
  live::Gate go;
  live::Threads threads(1, [&](int) {
    set(1);
    go.wait();
    expect_used(1);
  });
  set(0);
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  expect_used(0);
  go.open();
  threads.join();
}

CHECKPOINT_TEST(ThreadAddresses, names) {
  live::Gate go;
  live::Threads threads(1, [&](int) {
    ASSERT_EQ(pthread_setname_np(pthread_self(), "one \n of many"), 0);
    go.wait();
    char name[16] = {};
    EXPECT_EQ(pthread_getname_np(pthread_self(), name, sizeof name), 0);
    EXPECT_STREQ(name, "one \n of many");
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  go.open();
  threads.join();
}

}  // namespace
}  // namespace cryo
