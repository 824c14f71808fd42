// Injection into real programs: what a batch answers, and that the program is as it was afterwards.
#include "puppet/injection.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <string>
#include <thread>

#include "sys/file.h"
#include "sys/ptrace.h"

namespace cryo {
namespace {

struct Shared {
  std::atomic<uint32_t> ready, stop, bad, loops;
};

// A child with `threads` more threads, all in 20 ms sleeps that must neither fail nor be short.
class Child {
 public:
  explicit Child(int threads) {
    shared_ = static_cast<Shared*>(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pid_ = ::fork();
    if (pid_ == 0) run(threads);
    while (shared_->ready < static_cast<uint32_t>(threads) + 1) ::sched_yield();
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::munmap(shared_, 4096);
  }
  Pid pid() const { return Pid{pid_}; }
  Shared& shared() { return *shared_; }

 private:
  [[noreturn]] void run(int threads) {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::vector<std::thread> others;
    for (int i = 0; i < threads; ++i) others.emplace_back([this] { sleeping_loop(); });
    sleeping_loop();
    for (std::thread& t : others) t.join();
    ::_exit(0);
  }
  void sleeping_loop() {
    ++shared_->ready;
    while (shared_->stop == 0) {
      timespec before{}, after{}, nap{0, 20'000'000};
      clock_gettime(CLOCK_MONOTONIC, &before);
      if (::nanosleep(&nap, nullptr) != 0) ++shared_->bad;
      clock_gettime(CLOCK_MONOTONIC, &after);
      if ((after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec - before.tv_nsec <
          20'000'000)
        ++shared_->bad;
      ++shared_->loops;
    }
  }
  Shared* shared_;
  pid_t pid_;
};

std::vector<AddressRange> mapped_ranges(const std::string& maps, AddressRange& vdso) {
  std::vector<AddressRange> ranges;
  for (size_t at = 0; at < maps.size(); at = maps.find('\n', at) + 1) {
    AddressRange r{};
    EXPECT_EQ(std::sscanf(maps.c_str() + at, "%lx-%lx", &r.start, &r.end), 2);
    const std::string line = maps.substr(at, maps.find('\n', at) - at);
    if (line.find("[vdso]") != std::string::npos) vdso = r;
    if (line.find("[vsyscall]") == std::string::npos) ranges.push_back(r);
  }
  return ranges;
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().to_string();
    std::abort();
  }
  return std::move(result).value();
}
void must(Result<void> result) { ASSERT_TRUE(result) << result.error().to_string(); }

std::string maps_of(const Fd& proc) { return must(sys::read_file(proc, "maps")); }

// Freezes, injects, runs `batch` in the leader and getpid-like ones in the threads, cures, lets go.
void dump_like(Child& child) {
  Tracer tracer = must(Tracer::create(0));
  const Fd proc =
      must(sys::open(fmt::format("/proc/{}", child.pid()), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Fd mem = must(sys::openat(proc, "mem", O_RDWR | O_CLOEXEC));
  const std::string before = maps_of(proc);
  std::vector<Stopped> stopped = must(tracer.freeze(child.pid(), proc, PTRACE_O_TRACESYSGOOD));
  std::vector<FrozenThread> threads;
  for (const Stopped& s : stopped)
    threads.push_back({s, must(s.thread_state()), must(s.signal_mask())});
  CoordinatorLife life = must(CoordinatorLife::begin());
  AddressRange vdso{};
  const std::vector<AddressRange> mapped = mapped_ranges(before, vdso);
  const InjectionSite site = must(InjectionSite::find(mapped, vdso, mem, 1 << 20));
  {
    Injection injection = must(Injection::inject(threads[0], site, proc, mem, life));
    Batch batch;
    batch.call(SYS_getpid);
    const Data name = batch.reserve(16);
    batch.call(SYS_prctl, PR_GET_NAME, name, 0, 0, 0);
    batch.call(SYS_close, -1);  // the surprise
    batch.call(SYS_getpid);
    const Outcome outcome = must(injection.leader().run(batch));
    EXPECT_EQ(outcome.finished(), 2U);
    EXPECT_EQ(outcome.result(0), child.pid().value);
    EXPECT_EQ(outcome.result(2), -EBADF);
    EXPECT_NE(outcome.get<char>(name), 0);
    std::vector<const FrozenThread*> others;
    for (size_t i = 1; i < threads.size(); ++i) others.push_back(&threads[i]);
    size_t answers = 0;
    must(injection.run_in_threads(
        others,
        [](size_t) {
          Batch b;
          b.call(SYS_gettid);
          return b;
        },
        [&](size_t i, const Outcome& o) -> Result<void> {
          EXPECT_EQ(o.result(0), others[i]->task.tid().value);
          ++answers;
          return {};
        }));
    EXPECT_EQ(answers, others.size());
    must(std::move(injection).cure());
  }
  for (const FrozenThread& t : threads) {
    Stopped s = t.task;
    must(std::move(s).detach());
  }
  EXPECT_EQ(maps_of(proc), before);
}

TEST(Injection, LeavesAThreadedProgramUnharmed) {
  Child child(6);
  for (int i = 0; i < 20; ++i) {
    dump_like(child);
    const uint32_t loops = child.shared().loops;
    while (child.shared().loops < loops + 7) ::sched_yield();
  }
  EXPECT_EQ(child.shared().bad, 0U);
  child.shared().stop = 1;
}

TEST(Batch, DescribesItsCalls) {
  Batch batch;
  batch.call(SYS_close, 3);
  batch.call(SYS_munmap, uint64_t{0x7f0000000000}, 4096);
  EXPECT_EQ(batch.describe(0), "close(3, 0, 0, 0, 0, 0)");
  EXPECT_EQ(batch.describe(1), "munmap(0x7f0000000000, 0x1000, 0, 0, 0, 0)");
}

}  // namespace
}  // namespace cryo
