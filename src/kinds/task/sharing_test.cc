#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/harness/call_numbers.h"
#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

// So many that the kernel's records of the threads are read, and so few that each is asked.
constexpr int kMany = 20, kFew = 2;

// The last one makes the call first.
void wait_in_threads(int count, int flags, const std::function<void()>& checkpoint) {
  std::atomic<bool> end{false}, made{true};
  live::Threads threads(count, [&](int i) {
    if (i == count - 1 && unshare(flags) != 0) made = false;
    while (!end) syscall(live::kPoll, nullptr, 0, 10);
  });
  EXPECT_TRUE(threads.wait_in_syscall(live::kPoll));
  EXPECT_TRUE(made);
  checkpoint();
  end = true;
  threads.join();
}

CHECKPOINT_TEST(Sharing, own_files_are_refused,
                dump_refused("has a table of open files of its own")) {
  wait_in_threads(kMany, CLONE_FILES, [this] { checkpoint(); });
}

CHECKPOINT_TEST(Sharing, own_files_of_few_threads_are_refused,
                dump_refused("has a table of open files of its own")) {
  wait_in_threads(kFew, CLONE_FILES, [this] { checkpoint(); });
}

CHECKPOINT_TEST(Sharing, own_working_directory_is_refused,
                dump_refused("has a working directory and root of its own")) {
  wait_in_threads(kMany, CLONE_FS, [this] { checkpoint(); });
}

CHECKPOINT_TEST(Sharing, own_namespaces_are_refused, dump_refused("has namespaces of its own")) {
  wait_in_threads(kMany, CLONE_NEWUTS, [this] { checkpoint(); });
}

CHECKPOINT_TEST(Sharing, of_everything_goes_on) {
  wait_in_threads(kMany, 0, [this] { checkpoint(); });
}

}  // namespace
}  // namespace cryo
