// More threads than are asked one by one: of those that the kernel says are alike, one answers for all. Here nearly
// none are, each in another way.
#include <linux/mempolicy.h>
#include <linux/prctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/text.h"

namespace cryo {
namespace {

constexpr int kThreads = 40;
constexpr size_t kStack = 64 << 10;

// Something to set in a thread, and to find there afterwards.
struct Setting {
  const char* name;
  void (*set)();
  bool (*is_set)();
};

const Setting kSettings[] = {
    {"nothing", [] {}, [] { return prctl(PR_GET_TIMERSLACK) == 50'000; }},
    {"timer slack", [] { prctl(PR_SET_TIMERSLACK, 7777); },
     [] { return prctl(PR_GET_TIMERSLACK) == 7777; }},
    {"personality", [] { personality(ADDR_COMPAT_LAYOUT); },
     [] { return personality(0xffffffff) == ADDR_COMPAT_LAYOUT; }},
    {"no_new_privs", [] { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); },
     [] { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; }},
    {"keepcaps", [] { prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0); },
     [] { return prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 1; }},
    {"group", [] { syscall(SYS_setresgid, -1, 12, -1); }, [] { return getegid() == 12; }},
    {"time stamp counter", [] { prctl(PR_SET_TSC, PR_TSC_SIGSEGV); },
     [] {
       int tsc = 0;
       prctl(PR_GET_TSC, &tsc);
       prctl(PR_SET_TSC, PR_TSC_ENABLE);
       return tsc == PR_TSC_SIGSEGV;
     }},
    {"memory policy",
     [] {
       const unsigned long nodes = 1;
       syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 64);
     },
     [] {
       int mode = 0;
       syscall(SYS_get_mempolicy, &mode, nullptr, 0, nullptr, 0);
       return mode == MPOL_BIND;
     }},
    {"pending signal",
     [] {
       sigset_t blocked;
       sigemptyset(&blocked);
       sigaddset(&blocked, SIGUSR2);
       pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
       syscall(SYS_tgkill, getpid(), gettid(), SIGUSR2);
     },
     [] {
       // Not by the C library, which says SI_USER for SI_TKILL.
       const uint64_t wanted = uint64_t{1} << (SIGUSR2 - 1);
       siginfo_t info{};
       const timespec now{};
       return syscall(SYS_rt_sigtimedwait, &wanted, &info, &now, sizeof(wanted)) == SIGUSR2 &&
              info.si_code == SI_TKILL;
     }},
};

struct Own {
  std::array<char, kStack> stack;
  std::string name;
};

void set_up(Own& own, int index) {
  own.name = fmt::format("thread {}", index);
  prctl(PR_SET_NAME, own.name.c_str());
  // Two in three have a stack for signals.
  const stack_t stack{own.stack.data(), 0, kStack};
  if (index % 3 != 0) sigaltstack(&stack, nullptr);
  kSettings[static_cast<size_t>(index) % std::size(kSettings)].set();
}

void check(const Own& own, int index) {
  const Setting& setting = kSettings[static_cast<size_t>(index) % std::size(kSettings)];
  EXPECT_TRUE(setting.is_set()) << setting.name << " of " << own.name;
  char name[16]{};
  prctl(PR_GET_NAME, name);
  EXPECT_EQ(name, own.name);
  stack_t stack{};
  sigaltstack(nullptr, &stack);
  EXPECT_EQ(stack.ss_sp, index % 3 != 0 ? own.stack.data() : nullptr) << own.name;
  EXPECT_EQ(stack.ss_flags, index % 3 != 0 ? 0 : SS_DISABLE) << own.name;
}

CHECKPOINT_TEST(ManyThreads, keep_what_is_their_own,
                except({"peer_restores_ours", "we_restore_peers"},
                       "CRIU's format has no field for most of it")) {
  std::vector<std::unique_ptr<Own>> own(kThreads);
  live::Gate go;
  live::Threads threads(kThreads, [&](int index) {
    Own& mine = *(own[static_cast<size_t>(index)] = std::make_unique<Own>());
    set_up(mine, index);
    go.wait();
    check(mine, index);
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  go.open();
  threads.join();
}

// Whose clock moves such a timer only its own thread can tell: all are asked.
CHECKPOINT_TEST(ManyThreads, with_a_timer_on_the_clock_of_one,
                except({"peer_restores_ours", "we_restore_peers"},
                       "CRIU makes them timers of the leader, whose clock may stand still")) {
  constexpr int kOwner = 17;
  std::atomic<int> end{0};
  int id = -1;
  live::Threads threads(kThreads, [&](int index) {
    if (index == kOwner) {
      sigevent event{};
      event.sigev_notify = SIGEV_NONE;
      syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &id);
      const itimerspec hour{{0, 0}, {3600, 0}};
      syscall(SYS_timer_settime, id, 0, &hour, nullptr);
    }
    while (end == 0) usleep(1000);
    if (index != kOwner) return;
    itimerspec before{}, after{};
    syscall(SYS_timer_gettime, id, &before);
    do syscall(SYS_timer_gettime, id, &after);
    while (after.it_value.tv_nsec == before.it_value.tv_nsec);
    EXPECT_LT(after.it_value.tv_sec, 3600);
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_clock_nanosleep));
  checkpoint();
  end = 1;
  threads.join();
}

}  // namespace
}  // namespace cryo
