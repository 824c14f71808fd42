#include "tests/harness/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/harness/text.h"

namespace cryo::live {
namespace {

Error failed(const char* call) { return Error::os(errno, call); }

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

[[noreturn]] void give_up(const char* what) {
  dprintf(2, "cannot start: %s: %s\n", what, strerror(errno));
  _exit(127);
}

void open_as(const char* path, int flags, int number) {
  const int fd = open(path, flags, 0644);
  if (fd < 0 || (fd != number && dup2(fd, number) < 0)) give_up(path);
}

// Runs between fork and exec: nothing here allocates.
[[noreturn]] void become(const SpawnOptions& options, char* const* argv, char* const* environment,
                         pid_t parent) {
  if (options.dies_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);  // it died before the request was made
  }
  struct sigaction plain = {};
  plain.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &plain, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (options.new_session && setsid() < 0) give_up("setsid");
  open_as(options.input.c_str(), O_RDONLY, 0);
  open_as(options.output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 1);
  if (dup2(1, 2) < 0) give_up("dup2");
  if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) give_up("chdir");
  close_range(3, ~0U, 0);
  execvpe(argv[0], argv, environment);
  give_up(argv[0]);
}

struct Child {
  pid_t pid;
  pid_t session;
};

std::vector<Child> children() {
  std::vector<Child> result;
  std::ifstream list("/proc/thread-self/children");
  for (pid_t pid; list >> pid;) result.push_back({pid, getsid(pid)});
  return result;
}

// What waitpid() would have said.
int wait_status_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return W_EXITCODE(info.si_status, 0);
  return W_EXITCODE(0, info.si_status) | (info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

}  // namespace

Deadline soon() { return deadline_in(std::chrono::seconds(30)); }

Deadline deadline_in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

int milliseconds_left(Deadline deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  return left.count() > 0 ? static_cast<int>(left.count()) : 0;
}

bool wait_until(const std::function<bool()>& condition, Deadline deadline) {
  while (!condition()) {
    if (milliseconds_left(deadline) == 0) return condition();
    sched_yield();
  }
  return true;
}

std::vector<std::string> plain_environment() {
  std::vector<std::string> result = {"LC_ALL=C", "HOME=/"};
  for (const char* name :
       {"PATH", "LD_LIBRARY_PATH", "CRYO_SELFTEST", "ASAN_OPTIONS", "UBSAN_OPTIONS"}) {
    if (const char* value = getenv(name)) result.push_back(std::string(name) + "=" + value);
  }
  return result;
}

Result<Process> Process::spawn(const SpawnOptions& options) {
  const std::vector<char*> argv = pointers(options.argv);
  const std::vector<char*> environment = pointers(options.environment);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return failed("fork");
  if (pid == 0) become(options, argv.data(), environment.data(), parent);
  return adopt(pid);
}

Result<Process> Process::adopt(pid_t pid) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return failed("pidfd_open");
  return Process(pid, Fd(fd));
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    kill_and_reap();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Process::~Process() { kill_and_reap(); }

bool Process::has_ended() const {
  pollfd ended = {pidfd_.raw(), POLLIN, 0};
  return poll(&ended, 1, 0) == 1;
}

Result<int> Process::wait(Deadline deadline) {
  for (;;) {
    pollfd ended = {pidfd_.raw(), POLLIN, 0};
    const int ready = poll(&ended, 1, milliseconds_left(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return failed("poll(pidfd)");
    if (ready == 0) {
      return Error::of(ErrorKind::os, fmt::format("process {} still runs at the deadline", pid_));
    }
    // Not by number: that may be another process's by now, such as the restored one's.
    siginfo_t info{};
    const auto fd = static_cast<id_t>(pidfd_.raw());
    if (waitid(P_PIDFD, fd, &info, WEXITED | __WALL) != 0) {
      if (errno == ECHILD) return Error::gone(fmt::format("process {} is not our child", pid_));
      return failed("waitid");
    }
    pid_ = -1;
    pidfd_.reset();
    return wait_status_of(info);
  }
}

void Process::send_signal(int signal) const {
  syscall(SYS_pidfd_send_signal, pidfd_.raw(), signal, nullptr, 0);
}

void Process::kill_and_reap() {
  if (pid_ <= 0) return;
  send_signal(SIGKILL);
  (void)wait(deadline_in(std::chrono::seconds(10)));
  pid_ = -1;
  pidfd_.reset();
}

std::string describe_wait_status(int status) {
  if (WIFEXITED(status)) return fmt::format("exit status {}", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) {
    return fmt::format("killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
  return fmt::format("wait status {:#x}", status);
}

bool exited_with(int status, int code) { return WIFEXITED(status) && WEXITSTATUS(status) == code; }

std::vector<pid_t> descendants_of(pid_t pid) {
  std::vector<pid_t> found{pid};
  for (size_t next = 0; next < found.size(); next++) {
    const std::string tasks = fmt::format("/proc/{}/task", found[next]);
    std::error_code error;
    for (const auto& thread : std::filesystem::directory_iterator(tasks, error)) {
      std::istringstream children(read_text(thread.path() / "children"));
      for (pid_t child = 0; children >> child;) found.push_back(child);
    }
  }
  found.erase(found.begin());
  return found;
}

void bury_all(const std::vector<pid_t>& pids) {
  for (const pid_t pid : pids) {
    Result<Process> process = Process::adopt(pid);
    if (process) process->kill_and_reap();
  }
}

int kill_session(pid_t session) {
  int found = 0;
  // Killing a parent hands its children to us, so look until there are none.
  for (bool again = true; again;) {
    again = false;
    for (const Child& child : children()) {
      if (child.session != session) continue;
      again = true;
      found++;
      Result<Process> process = Process::adopt(child.pid);
      if (process) process->kill_and_reap();
    }
  }
  return found;
}

}  // namespace cryo::live
