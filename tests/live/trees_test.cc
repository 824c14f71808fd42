// Trees of processes: who is whose child, sessions and groups, those that have ended, and what several have in common.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>

#include "tests/harness/call_numbers.h"
#include "tests/harness/checkpoint_test.h"
#include "tests/harness/child.h"

namespace cryo {
namespace {

using live::Child;
using live::Threads;

// A pipe through which a parent tells its children to go on.
struct Go {
  int ends[2] = {-1, -1};
  Go() { EXPECT_EQ(pipe(ends), 0); }
  ~Go() {
    close(ends[0]);
    close(ends[1]);
  }
  void wait() const {
    char one = 0;
    EXPECT_EQ(read(ends[0], &one, 1), 1);
  }
  void tell(size_t children) const {
    const std::string all(children, 'x');
    EXPECT_EQ(write(ends[1], all.data(), all.size()), static_cast<ssize_t>(all.size()));
  }
};

// What several processes share.
template <class T>
struct Shared {
  T* const value = static_cast<T*>(
      mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ~Shared() { munmap(value, sizeof(T)); }
  T* operator->() const { return value; }
};

CHECKPOINT_TEST(Tree, keeps_parents_and_children) {
  const Go go;
  const pid_t root = getpid();
  const auto look = [&](pid_t parent) {
    const pid_t self = getpid();
    go.wait();
    EXPECT_EQ(getpid(), self);
    EXPECT_EQ(syscall(SYS_gettid), self);
    EXPECT_EQ(getppid(), parent);
    EXPECT_EQ(getsid(0), root);
  };
  const Shared<pid_t> grandchild;
  Child first([&] { look(root); });
  Child second([&] {
    const pid_t self = getpid();
    Child below([&] { look(self); });
    *grandchild.value = below.pid();
    look(root);
    below.join();
  });
  ASSERT_TRUE(first.wait_in_syscall(SYS_read));
  ASSERT_TRUE(second.wait_in_syscall(SYS_read));
  ASSERT_TRUE(live::process_waits_in_syscall(*grandchild.value, SYS_read));
  checkpoint();
  go.tell(3);
  first.join();
  second.join();
}

CHECKPOINT_TEST(Tree, keeps_threads_of_children) {
  const Go go;
  Child child([&] {
    Threads threads(3, [&](int) { go.wait(); });
    ASSERT_TRUE(threads.wait_in_syscall(SYS_read));
    go.wait();
    threads.join();
  });
  ASSERT_TRUE(child.wait_in_syscall(SYS_read));
  checkpoint();
  go.tell(4);
  child.join();
}

CHECKPOINT_TEST(Tree, keeps_groups_and_sessions) {
  const Go go;
  const auto look = [&] {
    const pid_t group = getpgrp(), session = getsid(0);
    go.wait();
    EXPECT_EQ(getpgrp(), group);
    EXPECT_EQ(getsid(0), session);
  };
  Child leader([&] {
    EXPECT_EQ(setpgid(0, 0), 0);
    look();
  });
  ASSERT_TRUE(leader.wait_in_syscall(SYS_read));
  Child member([&] {
    EXPECT_EQ(setpgid(0, leader.pid()), 0);
    look();
  });
  Child changed([&] {
    EXPECT_EQ(setpgid(0, 0), 0);
    EXPECT_EQ(setpgid(0, leader.pid()), 0);
    look();
  });
  Child session([&] {
    Child before([&] { look(); });
    ASSERT_TRUE(before.wait_in_syscall(SYS_read));
    EXPECT_GT(setsid(), 0);
    Child after([&] { look(); });
    ASSERT_TRUE(after.wait_in_syscall(SYS_read));
    look();
    before.join();
    after.join();
  });
  for (const Child* child : {&member, &changed, &session})
    ASSERT_TRUE(child->wait_in_syscall(SYS_read));
  checkpoint();
  go.tell(6);
  for (Child* child : {&leader, &member, &changed, &session}) child->join();
}

CHECKPOINT_TEST(Tree, keeps_a_group_whose_leader_has_ended) {
  const Go go, end;
  Child leader([&] {
    EXPECT_EQ(setpgid(0, 0), 0);
    end.wait();
  });
  ASSERT_TRUE(leader.wait_in_syscall(SYS_read));
  const pid_t group = leader.pid();
  Child member([&] {
    EXPECT_EQ(setpgid(0, group), 0);
    go.wait();
    EXPECT_EQ(getpgrp(), group);
  });
  ASSERT_TRUE(member.wait_in_syscall(SYS_read));
  end.tell(1);
  leader.join();
  checkpoint();
  go.tell(1);
  member.join();
}

CHECKPOINT_TEST(Tree, keeps_a_session_whose_leader_has_ended,
                except({"peer_restores_ours"}, "CRIU's orphan is not the subreaper's child")) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const Go go;
  const Shared<std::atomic<pid_t>> orphan;
  Child leader([&] {
    const pid_t session = setsid();
    if (fork() != 0) return;
    *orphan.value = getpid();
    go.wait();
    EXPECT_EQ(getsid(0), session);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  });
  leader.join();
  while (*orphan.value == 0) sched_yield();
  ASSERT_TRUE(live::process_waits_in_syscall(*orphan.value, SYS_read));
  checkpoint();
  go.tell(1);
  int status = -1;
  EXPECT_EQ(waitpid(*orphan.value, &status, 0), *orphan.value);
  EXPECT_EQ(status, 0);
}

CHECKPOINT_TEST(Tree, keeps_those_that_have_ended) {
  Child exited([] { _exit(7); });
  Child killed([] { raise(SIGTERM); });
  siginfo_t info{};
  for (const Child* child : {&exited, &killed})
    ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child->pid()), &info, WEXITED | WNOWAIT), 0);
  checkpoint();
  EXPECT_EQ(exited.wait(), 7 << 8);
  EXPECT_EQ(killed.wait(), SIGTERM);
}

std::atomic<int> children_told = 0;

CHECKPOINT_TEST(Tree, tells_of_the_dead_as_often_as_without) {
  struct sigaction action {};
  action.sa_handler = [](int) { ++children_told; };
  ASSERT_EQ(sigaction(SIGCHLD, &action, nullptr), 0);
  Child told([] {});
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(told.pid()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(children_told, 1);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  Child pending([] {});
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pending.pid()), &info, WEXITED | WNOWAIT), 0);
  checkpoint();
  EXPECT_EQ(children_told, 1);
  siginfo_t got{};
  const timespec now{};
  EXPECT_EQ(sigtimedwait(&child, &got, &now), SIGCHLD);
  EXPECT_EQ(got.si_pid, pending.pid());
  EXPECT_EQ(sigtimedwait(&child, &got, &now), -1);
  told.join();
  pending.join();
}

CHECKPOINT_TEST(Tree, keeps_what_has_ended_of_the_dead_once) {
  Child dead([] {});
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(dead.pid()), &info, WEXITED | WNOWAIT), 0);
  checkpoint();
  dead.join();
  EXPECT_EQ(waitpid(-1, nullptr, 0), -1);
  EXPECT_EQ(errno, ECHILD);
}

CHECKPOINT_TEST(Tree, shares_open_files) {
  const Go go;
  const int file = open("shared", O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(write(file, "0123456789", 10), 10);
  Child child([&] {
    const int own = open("shared", O_RDONLY);
    go.wait();
    char text[3] = "";
    EXPECT_EQ(pread(file, text, 2, 4), 2);
    EXPECT_STREQ(text, "45");
    EXPECT_EQ(lseek(file, 0, SEEK_CUR), 3);
    EXPECT_EQ(lseek(file, 7, SEEK_SET), 7);
    EXPECT_EQ(lseek(own, 0, SEEK_CUR), 0);
  });
  ASSERT_TRUE(child.wait_in_syscall(SYS_read));
  ASSERT_EQ(lseek(file, 5, SEEK_SET), 5);
  checkpoint();
  EXPECT_EQ(lseek(file, 3, SEEK_SET), 3);
  go.tell(1);
  child.join();
  EXPECT_EQ(lseek(file, 0, SEEK_CUR), 7);
}

// Each has its own at the same number, and what one has at a number the other has elsewhere.
CHECKPOINT_TEST(Tree, keeps_descriptors_apart) {
  const Go go;
  const auto is = [](int fd, const std::string& name) {
    char path[256] = "";
    EXPECT_GT(readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path - 1), 0);
    EXPECT_TRUE(std::string(path).ends_with(name)) << fd << ": " << path;
  };
  const int one = open("one", O_RDWR | O_CREAT, 0600);
  const int two = open("two", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  Child child([&] {
    const int third = dup(one);
    ASSERT_EQ(dup2(two, one), one);
    ASSERT_EQ(dup2(third, two), two);
    ASSERT_EQ(dup2(third, 200), 200);
    close(third);
    go.wait();
    is(one, "/two");
    is(two, "/one");
    is(200, "/one");
    EXPECT_EQ(fcntl(two, F_GETFD), 0);
  });
  ASSERT_TRUE(child.wait_in_syscall(SYS_read));
  checkpoint();
  is(one, "/one");
  is(two, "/two");
  EXPECT_EQ(fcntl(two, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(200, F_GETFD), -1);
  go.tell(1);
  child.join();
}

CHECKPOINT_TEST(Tree, keeps_pipes_between_processes) {
  int to[2], from[2];
  ASSERT_EQ(pipe(to), 0);
  ASSERT_EQ(pipe(from), 0);
  Child child([&] {
    close(to[1]);
    close(from[0]);
    char text[16] = "";
    for (ssize_t got = 0; (got = read(to[0], text, sizeof text)) > 0;)
      EXPECT_EQ(write(from[1], text, static_cast<size_t>(got)), got);
  });
  close(to[0]);
  close(from[1]);
  char text[16] = "";
  ASSERT_EQ(write(to[1], "ping", 4), 4);
  ASSERT_EQ(read(from[0], text, sizeof text), 4);
  ASSERT_TRUE(child.wait_in_syscall(SYS_read));
  checkpoint();
  ASSERT_EQ(write(to[1], "pong!", 5), 5);
  EXPECT_EQ(read(from[0], text, sizeof text), 5);
  EXPECT_STREQ(text, "pong!");
  close(to[1]);  // the last one
  EXPECT_EQ(read(from[0], text, sizeof text), 0);
  child.join();
}

CHECKPOINT_TEST(Tree, keeps_shared_memory) {
  const Go go;
  const Shared<std::atomic<int>> number;
  const int memory = memfd_create("memory", 0);
  ASSERT_EQ(ftruncate(memory, 4096), 0);
  Child child([&] {
    auto* mapped =
        static_cast<char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0));
    mapped[7] = 'c';
    *number.value += 1;
    go.wait();
    *number.value += 10;
    EXPECT_EQ(mapped[8], 'p');
    mapped[9] = 'd';
  });
  ASSERT_TRUE(child.wait_in_syscall(SYS_read));
  checkpoint();
  EXPECT_EQ(*number.value, 1);
  *number.value += 100;
  EXPECT_EQ(pwrite(memory, "p", 1, 8), 1);
  go.tell(1);
  child.join();
  EXPECT_EQ(*number.value, 111);
  char text[4] = "";
  EXPECT_EQ(pread(memory, text, 3, 7), 3);
  EXPECT_STREQ(text, "cpd");
}

CHECKPOINT_TEST(Tree, keeps_memory_of_its_own_for_everybody) {
  const Go go;
  std::vector<int> numbers(100'000, 1);
  Child child([&] {
    numbers[70'000] = 2;
    go.wait();
    EXPECT_EQ(numbers[0], 1);
    EXPECT_EQ(numbers[70'000], 2);
    EXPECT_EQ(numbers[99'999], 1);
  });
  ASSERT_TRUE(child.wait_in_syscall(SYS_read));
  numbers[99'999] = 3;
  checkpoint();
  EXPECT_EQ(numbers[70'000], 1);
  EXPECT_EQ(numbers[99'999], 3);
  go.tell(1);
  child.join();
}

CHECKPOINT_TEST(Tree, keeps_a_shared_epoll) {
  const Go go;
  const int epoll = epoll_create1(0);
  const int counter = eventfd(0, 0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 77;
  ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event), 0);
  Child child([&] {
    go.wait();
    epoll_event got{};
    EXPECT_EQ(epoll_wait(epoll, &got, 1, 0), 1);
    EXPECT_EQ(got.data.u64, 77u);
  });
  ASSERT_TRUE(child.wait_in_syscall(SYS_read));
  checkpoint();
  EXPECT_EQ(eventfd_write(counter, 1), 0);
  go.tell(1);
  child.join();
}

// The parent is told of the stop again.
CHECKPOINT_TEST(Tree, keeps_a_stopped_child,
                except({"peer_restores_ours", "we_restore_peers"},
                       "CRIU's way is to make the interrupted call again, once it is continued"),
                proc_differs({"stat/exit_code", "task/*/stat/exit_code"},
                             "the signal of a stop that the parent has not asked for yet")) {
  const Go go;
  Child child([&] { go.wait(); });
  ASSERT_TRUE(child.wait_in_syscall(SYS_read));
  kill(child.pid(), SIGSTOP);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED), 0);
  checkpoint();
  go.tell(1);
  EXPECT_EQ(waitpid(child.pid(), nullptr, WNOHANG), 0);
  kill(child.pid(), SIGCONT);
  child.join();
}

CHECKPOINT_TEST(Tree, keeps_death_signals_and_directories) {
  const Go go;
  ASSERT_EQ(mkdir("below", 0700), 0);
  Child child([&] {
    EXPECT_EQ(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
    EXPECT_EQ(chdir("below"), 0);
    go.wait();
    int signal = 0;
    EXPECT_EQ(prctl(PR_GET_PDEATHSIG, &signal), 0);
    EXPECT_EQ(signal, SIGUSR1);
    EXPECT_EQ(access("../below", F_OK), 0);
  });
  ASSERT_TRUE(child.wait_in_syscall(SYS_read));
  checkpoint();
  go.tell(1);
  child.join();
}

CHECKPOINT_TEST(Tree, keeps_a_hundred_children) {
  const Go go;
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 0; i < 100; i++) children.push_back(std::make_unique<Child>([&] { go.wait(); }));
  for (const std::unique_ptr<Child>& child : children)
    ASSERT_TRUE(child->wait_in_syscall(SYS_read));
  checkpoint();
  go.tell(children.size());
  for (const std::unique_ptr<Child>& child : children) child->join();
}

CHECKPOINT_TEST(Tree, refuses_what_is_shared_without_threads,
                dump_refused("shares its descriptors")) {
  const Go go;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
  if (pid == 0) {
    go.wait();
    _exit(0);
  }
  ASSERT_TRUE(live::process_waits_in_syscall(pid, SYS_read));
  checkpoint();
  go.tell(1);
  EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
}

}  // namespace
}  // namespace cryo
