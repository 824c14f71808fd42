// State that /proc shows. The bodies only make it: the harness compares the pictures.
#include <fcntl.h>
#include <grp.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/text.h"

namespace cryo {
namespace {

void block(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
}

CHECKPOINT_TEST(ProcState, of_the_process) {
  umask(0137);
  ASSERT_EQ(setpriority(PRIO_PROCESS, 0, 5), 0);
  live::write_text("/proc/self/oom_score_adj", "321");
  live::write_text("/proc/self/coredump_filter", "0x7");
  const rlimit files = {512, 600}, core = {0, 0}, stack = {4 << 20, 16 << 20};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  ASSERT_EQ(setrlimit(RLIMIT_CORE, &core), 0);
  ASSERT_EQ(setrlimit(RLIMIT_STACK, &stack), 0);
  ASSERT_NE(personality(ADDR_COMPAT_LAYOUT), -1);
  signal(SIGUSR1, SIG_IGN);
  signal(SIGUSR2, [](int) {});
  ASSERT_EQ(mkdir("below", 0755), 0);
  ASSERT_EQ(chdir("below"), 0);
  checkpoint();
}

CHECKPOINT_TEST(
    ProcState, of_privileges,
    except({"we_restore_peers"},
           "CRIU needs CAP_SYS_RESOURCE to read the limits of a process with other ids")) {
  ASSERT_EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
  ASSERT_EQ(prctl(PR_CAPBSET_DROP, 25 /* CAP_SYS_TIME */), 0);
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  const gid_t groups[] = {10, 20, 30};
  ASSERT_EQ(setgroups(3, groups), 0);
  ASSERT_EQ(setresgid(0, 5, 0), 0);
  ASSERT_EQ(setresuid(0, 7, 0), 0);
  checkpoint();
}

CHECKPOINT_TEST(ProcState, of_each_thread) {
  live::Gate go;
  live::Threads threads(6, [&](int index) {
    block(SIGRTMIN + index);
    pthread_setname_np(pthread_self(), fmt::format("worker {}", index).c_str());
    ASSERT_EQ(prctl(PR_SET_TIMERSLACK, 60000 + index), 0);
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(index % 2, &cpus);
    ASSERT_EQ(sched_setaffinity(0, sizeof cpus, &cpus), 0);
    ASSERT_EQ(
        syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, index)),
        0);
    ASSERT_EQ(setpriority(PRIO_PROCESS, 0, index), 0);
    if (index == 4) {
      const sched_param none = {};
      ASSERT_EQ(sched_setscheduler(0, SCHED_BATCH, &none), 0);
    }
    if (index == 5) {
      const sched_param real_time = {.sched_priority = 3};
      ASSERT_EQ(sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &real_time), 0);
    }
    pthread_kill(pthread_self(), SIGRTMIN + index);
    go.wait();
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  checkpoint();
  go.open();
}

CHECKPOINT_TEST(ProcState, of_signals_and_timers) {
  for (int signal : {SIGUSR1, SIGRTMIN + 1}) block(signal);
  sigval value = {};
  for (value.sival_int = 0; value.sival_int < 3; value.sival_int++) {
    ASSERT_EQ(sigqueue(getpid(), SIGRTMIN + 1, value), 0);
  }
  raise(SIGUSR1);
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN + 1;
  timer_t timer;
  for (clockid_t clock :
       {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID}) {
    ASSERT_EQ(timer_create(clock, &event, &timer), 0);
  }
  event.sigev_notify = SIGEV_NONE;
  ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  checkpoint();
}

CHECKPOINT_TEST(ProcState, of_mappings) {
  constexpr size_t kSize = 1 << 20;
  const auto map = [](int protection, int flags, int fd = -1) {
    return mmap(nullptr, kSize, protection, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
  };
  for (int advice : {MADV_DONTFORK, MADV_DONTDUMP, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_SEQUENTIAL,
                     MADV_RANDOM, MADV_WIPEONFORK, MADV_MERGEABLE}) {
    madvise(map(PROT_READ | PROT_WRITE, MAP_PRIVATE), kSize, advice);
    map(PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);  // so that neighbours differ
  }
  mlock(map(PROT_READ | PROT_WRITE, MAP_PRIVATE), 65536);
  mlock2(map(PROT_READ, MAP_PRIVATE), 65536, MLOCK_ONFAULT);
  map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_GROWSDOWN);
  map(PROT_READ | PROT_EXEC, MAP_SHARED);
  map(PROT_READ | PROT_WRITE, MAP_SHARED, memfd_create("some memory", MFD_CLOEXEC));
  const int file = open("data", O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(ftruncate(file, kSize), 0);
  map(PROT_READ, MAP_SHARED, file);
  map(PROT_READ | PROT_WRITE, MAP_PRIVATE, file);
  map(PROT_READ, MAP_SHARED, open("data", O_RDONLY));
  prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, map(PROT_READ, MAP_PRIVATE), kSize, "a name");
  checkpoint();
}

CHECKPOINT_TEST(ProcState, of_descriptors) {
  const int file = open("data", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ASSERT_EQ(write(file, "0123456789", 10), 10);
  ASSERT_GE(dup2(file, 100), 0);
  ASSERT_GE(open("data", O_PATH), 0);
  ASSERT_GE(open("data", O_RDONLY | O_NONBLOCK | O_NOATIME), 0);
  ASSERT_GE(open("data", O_WRONLY | O_SYNC), 0);
  ASSERT_GE(open(".", O_RDONLY | O_DIRECTORY), 0);
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"}) {
    ASSERT_GE(open(device, O_RDWR), 0);
  }
  const int ghost = open("deleted", O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(write(ghost, "boo", 3), 3);
  ASSERT_EQ(unlink("deleted"), 0);
  checkpoint();
}

}  // namespace
}  // namespace cryo
