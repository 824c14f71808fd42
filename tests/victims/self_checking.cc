#include "tests/victims/self_checking.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cfenv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <thread>

namespace cryo::victim {
namespace {

// The workers' functions have no arguments that could carry this.
live::SharedState* shared = nullptr;
thread_local const char* current_worker = "main";

// What every thread has of its own, different in each, and has to find again after every round.
class OwnState {
 public:
  explicit OwnState(int index) : tid_(gettid()), rounding_(kRoundings[index % 4]), stack_(16384) {
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, SIGRTMIN + 10 + index % 10);
    sigaddset(&own, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &own, nullptr);
    pthread_sigmask(SIG_BLOCK, nullptr, &mask_);
    fesetround(rounding_);
    const stack_t stack = {stack_.data(), 0, stack_.size()};
    sigaltstack(&stack, nullptr);
    thread_local_ = static_cast<uint64_t>(tid_) * 0x9e3779b97f4a7c15;
  }

  void check() const {
    expect(gettid() == tid_, "another tid");
    expect(thread_local_ == static_cast<uint64_t>(tid_) * 0x9e3779b97f4a7c15,
           "another thread's TLS");
    expect(fegetround() == rounding_, "another rounding mode");
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    expect(memcmp(&mask, &mask_, 8) == 0, "another signal mask");
    stack_t stack;
    sigaltstack(nullptr, &stack);
    expect(stack.ss_sp == stack_.data() && stack.ss_size == stack_.size(),
           "another alternate stack");
  }

 private:
  static constexpr int kRoundings[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  static thread_local uint64_t thread_local_;
  pid_t tid_;
  int rounding_;
  sigset_t mask_ = {};
  std::vector<char> stack_;
};
thread_local uint64_t OwnState::thread_local_ = 0;

[[noreturn]] void work(const Worker& worker, int index) {
  current_worker = worker.name;
  pthread_setname_np(pthread_self(), worker.name);
  if (worker.prepare != nullptr) worker.prepare();
  const OwnState own(index);
  for (;;) {
    worker.round();
    own.check();
    shared->rounds[index]++;
  }
}

// A part of the workers, as threads of this process. Those that work together are neighbours.
void start_threads(const std::vector<Worker>& workers, size_t part, size_t parts) {
  const auto begin = [&](size_t n) { return workers.size() * n / parts; };
  for (size_t i = begin(part); i < begin(part + 1); i++)
    std::thread(work, workers[i], static_cast<int>(i)).detach();
}

// The first of `processes`; the others are its children.
size_t become_family(size_t processes) {
  for (size_t i = 1; i < processes; i++) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return i;
  }
  return 0;
}

int end(bool is_parent) {
  while (is_parent && wait(nullptr) > 0) continue;
  const bool passed = shared->complaints == 0;
  if (is_parent) shared->outcome = passed ? live::Outcome::passed : live::Outcome::failed;
  _exit(passed ? 0 : 1);
}

int run(const std::string& directory, const std::vector<Worker>& workers, size_t processes) {
  const Result<live::SharedPage> page = live::SharedPage::map(directory + "/sync");
  if (!page) return 2;
  shared = &*page.value();
  shared->workers = static_cast<uint32_t>(workers.size());
  const size_t self = become_family(processes);
  start_threads(workers, self, processes);
  if (self == 0) {
    shared->reached = 1;
    live::futex_wake(shared->reached);
  }
  while (shared->released == 0) {
    live::futex_wait(shared->released, 0, std::chrono::seconds(5));
    if (self == 0 && getppid() == 1) return 3;  // the test was killed; nobody else would end us
  }
  return end(self == 0);
}

}  // namespace

void complain(const std::string& what) {
  if (shared->complaints.fetch_add(1) > 0) return;
  const std::string text = std::string(current_worker) + ": " + what;
  snprintf(shared->complaint, sizeof shared->complaint, "%s", text.c_str());
}

void expect(bool condition, const char* what) {
  if (!condition) complain(what);
}

void note_interruption() { shared->interruptions++; }

int64_t now_ns() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000 + now.tv_nsec;
}

}  // namespace cryo::victim

int main(int argc, char** argv) {
  using namespace cryo::victim;
  if (argc != 3) return 2;
  const bool family = strcmp(argv[2], "family") == 0;
  const bool signals = strcmp(argv[2], "signals") == 0;
  return run(argv[1], signals ? signalled_workers() : waiting_workers(), family ? 4 : 1);
}
