// crit, the tool that CRIU brings for looking into images: it has to read ours, and to lose nothing of them.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/text.h"

namespace cryo {
namespace {

constexpr size_t kPage = 4096;

// What it writes to stdout and stderr.
std::string run_crit(const live::Words& words, const std::string& output) {
  live::SpawnOptions spawn;
  spawn.argv = {live::peer_crit()};
  spawn.argv.insert(spawn.argv.end(), words.begin(), words.end());
  spawn.environment = live::plain_environment();
  spawn.output = output;
  Result<live::Process> process = live::Process::spawn(spawn);
  EXPECT_TRUE(process) << process.error().to_string();
  if (!process) return {};
  Result<int> status = process->wait(live::deadline_in(std::chrono::seconds(30)));
  const std::string text = live::read_text(output);
  EXPECT_TRUE(status && live::exited_with(*status, 0))
      << fmt::format("crit {}\n{}", fmt::join(words, " "), text);
  return text;
}

// Our own image is none of crit's, and the files of pages have no format.
bool is_for_crit(const std::string& name) {
  return name.ends_with(".img") && !name.starts_with("cryo-") && !name.starts_with("pages-");
}

void expect_same_after_decoding(const std::string& image) {
  const std::string decoded = image + ".json", encoded = image + ".again";
  run_crit({"decode", "--pretty", "-i", image, "-o", decoded}, image + ".decode");
  run_crit({"encode", "-i", decoded, "-o", encoded}, image + ".encode");
  EXPECT_EQ(live::read_text(encoded), live::read_text(image)) << image;
}

void look_with_crit(const live::Between& at) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(at.images))
    names.push_back(entry.path().filename());
  const std::string copy = at.images + "/for-crit";  // it must not disturb the restore
  std::filesystem::create_directory(copy);
  size_t looked_at = 0;
  for (const std::string& name : names) {
    if (!name.ends_with(".img")) continue;
    std::filesystem::copy(at.images + "/" + name, copy + "/" + name);
    if (!is_for_crit(name)) continue;
    expect_same_after_decoding(copy + "/" + name);
    ++looked_at;
  }
  EXPECT_GE(looked_at, 18U);

  const std::string pid = std::to_string(at.pid);
  const auto expect_x = [&](const char* what, const std::string& text) {
    const std::string shown = run_crit({"x", copy, what}, copy + "/" + what);
    EXPECT_NE(shown.find(pid), std::string::npos) << shown;
    EXPECT_NE(shown.find(text), std::string::npos) << shown;
  };
  expect_x("ps", "rich in state");
  expect_x("fds", at.directory + "/file");
  expect_x("fds", "pipe[");
  expect_x("mems", at.directory + "/file");
  expect_x("rss", "/");
}

void install_filter() {
  sock_filter program[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getpgid},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | 71},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog all = {4, program};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &all), 0);
}

void make_memory(int file) {
  for (const int flags : {MAP_PRIVATE, MAP_SHARED}) {
    auto* file_memory =
        static_cast<char*>(mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, flags, file, 0));
    ASSERT_NE(file_memory, MAP_FAILED);
    file_memory[kPage] = 'f';
    auto* memory = static_cast<char*>(
        mmap(nullptr, 16 * kPage, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    memory[3 * kPage] = memory[9 * kPage] = 'm';
    ASSERT_EQ(madvise(memory, 16 * kPage, MADV_DONTDUMP), 0);
  }
}

int make_files() {
  const int file = open("file", O_RDWR | O_CREAT, 0600);
  EXPECT_EQ(ftruncate(file, 2 * kPage), 0);
  EXPECT_EQ(fcntl(file, F_SETOWN, getpid()), 0);
  EXPECT_EQ(fcntl(file, F_SETSIG, SIGIO), 0);
  EXPECT_EQ(write(open("gone", O_RDWR | O_CREAT, 0600), "ghost", 5), 5);
  EXPECT_EQ(unlink("gone"), 0);
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  EXPECT_EQ(write(ends[1], "in the pipe", 11), 11);
  EXPECT_GE(eventfd(7, EFD_NONBLOCK), 0);
  EXPECT_EQ(write(memfd_create("some memory", MFD_ALLOW_SEALING), "memory", 6), 6);
  return file;
}

void make_timers() {
  const itimerval some = {{100, 0}, {1000, 0}};
  ASSERT_EQ(setitimer(ITIMER_VIRTUAL, &some, nullptr), 0);
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN + 2;
  timer_t timer{};
  ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  const itimerspec time = {{7, 0}, {1000, 0}};
  ASSERT_EQ(timer_settime(timer, 0, &time, nullptr), 0);
}

void make_signals(const live::Threads& threads) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ASSERT_EQ(sigaction(SIGUSR2, &action, nullptr), 0);
  const sigval value = {.sival_int = 12345};
  ASSERT_EQ(sigqueue(getpid(), SIGRTMIN + 1, value), 0);
  ASSERT_EQ(syscall(SYS_tgkill, getpid(), threads.tid(1), SIGUSR1), 0);
}

CHECKPOINT_TEST(Crit, reads_every_image, between(look_with_crit),
                except({"restore", "leave_running", "restore_left", "twice", "we_restore_peers"},
                       "crit does the same in all of them")) {
  ASSERT_EQ(prctl(PR_SET_NAME, "rich in state"), 0);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigaddset(&blocked, SIGRTMIN + 1);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &blocked, nullptr), 0);
  live::Gate go;
  std::atomic<int> received{0};
  live::Threads threads(3, [&](int index) {
    go.wait();
    const timespec patience{index == 1 ? 10 : 0, 0};
    if (sigtimedwait(&blocked, nullptr, &patience) > 0) received++;
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  const int file = make_files();
  make_memory(file);
  make_timers();
  make_signals(threads);
  install_filter();
  checkpoint();
  EXPECT_EQ(syscall(SYS_getpgid), -1);
  EXPECT_EQ(errno, 71);
  go.open();
  threads.join();
  EXPECT_EQ(received, 2);
}

}  // namespace
}  // namespace cryo
