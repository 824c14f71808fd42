// restless DIRECTORY HABIT: a process that never keeps still, for dumps that meet it in the middle. It counts its
// rounds in DIRECTORY/sync.
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>

#include "tests/harness/shared_page.h"

namespace {

cryo::live::SharedState* shared = nullptr;
char** arguments = nullptr;

void begin_round() {
  shared->rounds[0]++;
  shared->reached = 1;
}

// execve from a thread that is not the first one: that thread takes over the number of the process.
void execute_itself() {
  begin_round();
  std::thread([] { execv("/proc/self/exe", arguments); }).join();
}

void make_threads() {
  begin_round();
  std::thread threads[4];
  for (std::thread& thread : threads) thread = std::thread([] { sched_yield(); });
  for (std::thread& thread : threads) thread.join();
}

void fork_children() {
  begin_round();
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
}

// The parent of a vfork sleeps and nothing but a SIGKILL wakes it. Here the child is a thread, so that the
// process has no children.
int child_of_vfork(void*) {
  for (int i = 0; i < 300; ++i) {
    begin_round();
    usleep(10'000);
  }
  syscall(SYS_exit, 0);
  return 0;
}

void sleep_in_vfork() {
  static char stack[65536];
  constexpr int kFlags = CLONE_VFORK | CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                         CLONE_THREAD | CLONE_SYSVSEM;
  clone(child_of_vfork, stack + sizeof stack, kFlags, nullptr);
}

void lose_first_thread() {
  std::thread([] {
    for (;;) {
      begin_round();
      usleep(1000);
    }
  }).detach();
  syscall(SYS_exit, 0);
}

// Ends at a moment that differs from run to run, while other threads work.
void end_soon() {
  std::thread([] {
    usleep(static_cast<useconds_t>(getpid()) * 7919 % 12'000);
    _exit(0);
  }).detach();
  for (;;) make_threads();
}

struct Habit {
  const char* name;
  void (*round)();
};
constexpr Habit kHabits[] = {{"exec", execute_itself},        {"threads", make_threads},
                             {"forks", fork_children},        {"vfork", sleep_in_vfork},
                             {"headless", lose_first_thread}, {"ends", end_soon}};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  arguments = argv;
  const cryo::Result<cryo::live::SharedPage> page =
      cryo::live::SharedPage::map(std::string(argv[1]) + "/sync");
  if (!page) return 2;
  shared = &*page.value();
  for (const Habit& habit : kHabits)
    while (strcmp(habit.name, argv[2]) == 0) habit.round();
  return 2;
}
