// As many descriptors as servers have: each is made under the number that it will have, so that a limit which left room
// for them leaves room for their restore.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/target.h"
#include "tests/harness/test_files.h"
#include "tests/harness/text.h"

namespace cryo {
namespace {

void limit_descriptors(rlim_t to) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max = to;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

std::string file_name(int i) { return "file" + std::to_string(i); }

// Of each five: a file with its own position, a counter, both ends of a pipe, a duplicate of the file.
struct Five {
  int file, counter, reader, writer, twin;
};

Five open_five(int i) {
  Five five{open(file_name(i).c_str(), O_RDWR | O_CREAT, 0600),
            eventfd(static_cast<unsigned>(i), i % 2 == 0 ? EFD_CLOEXEC : 0), -1, -1, -1};
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_NONBLOCK), 0);
  five.reader = ends[0];
  five.writer = ends[1];
  five.twin = dup(five.file);
  EXPECT_EQ(ftruncate(five.file, 100), 0);
  EXPECT_EQ(lseek(five.file, i % 100, SEEK_SET), i % 100);
  EXPECT_EQ(write(five.writer, &i, sizeof i), static_cast<ssize_t>(sizeof i));
  return five;
}

void expect_five(const Five& five, int i) {
  uint64_t count = 0;
  int text = -1;
  ASSERT_EQ(lseek(five.twin, 0, SEEK_CUR), i % 100);
  ASSERT_EQ(fcntl(five.counter, F_GETFD), i % 2 == 0 ? FD_CLOEXEC : 0);
  if (i != 0) {
    ASSERT_EQ(read(five.counter, &count, sizeof count), static_cast<ssize_t>(sizeof count));
  }
  ASSERT_EQ(count, static_cast<uint64_t>(i));
  ASSERT_EQ(read(five.reader, &text, sizeof text), static_cast<ssize_t>(sizeof text));
  ASSERT_EQ(text, i);
}

CHECKPOINT_TEST(ManyFiles, ten_thousand,
                except({"we_restore_peers"}, "CRIU dumps 1,024 pipes at most")) {
  limit_descriptors(20000);
  std::vector<Five> all;
  for (int i = 0; i < 2000; ++i) all.push_back(open_five(i));
  ASSERT_GT(all.back().twin, 10000);
  checkpoint();
  for (int i = 0; i < 2000; ++i) expect_five(all[static_cast<size_t>(i)], i);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(limit.rlim_cur, 20000u);
  EXPECT_EQ(limit.rlim_max, 20000u);
}

// Each removed file takes descriptors of the restore's own until all of them are there.
CHECKPOINT_TEST(ManyFiles, hundreds_of_removed_ones) {
  limit_descriptors(20000);
  std::vector<Five> all;
  std::vector<char*> mapped;
  for (int i = 0; i < 300; ++i) {
    all.push_back(open_five(i));
    ASSERT_EQ(pwrite(all.back().file, &i, sizeof i, 0), static_cast<ssize_t>(sizeof i));
    void* at = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, all.back().file, 0);
    ASSERT_NE(at, MAP_FAILED);
    mapped.push_back(static_cast<char*>(at));
    if (i % 3 == 0) {
      const int again = open(file_name(i).c_str(), O_RDONLY);
      ASSERT_EQ(dup2(again, 15000 + i), 15000 + i);
      close(again);
    }
    ASSERT_EQ(unlink(file_name(i).c_str()), 0);
  }
  checkpoint();
  for (int i = 0; i < 300; ++i) {
    expect_five(all[static_cast<size_t>(i)], i);
    int found = -1;
    ASSERT_EQ(pread(all[static_cast<size_t>(i)].file, &found, sizeof found, 0), 4);
    ASSERT_EQ(found, i);
    ASSERT_EQ(memcmp(mapped[static_cast<size_t>(i)], &i, sizeof i), 0);
    if (i % 3 == 0) {
      ASSERT_EQ(pread(15000 + i, &found, sizeof found, 0), 4);
    }
    ASSERT_EQ(found, i);
  }
}

}  // namespace

namespace live {
namespace {

using testing::HasSubstr;

constexpr const char* kTenThousand = R"(
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
def make(i):
    name = 'file%d' % i
    file = open(name, 'w+b', buffering=0)
    file.write(b'%d' % i)
    if i % 50 == 0: os.remove(name)
    return file
files = [make(i) for i in range(10000)]
print('ready', flush=True)
while not os.path.exists('may-end'): os.sched_yield()
def right(i):
    files[i].write(b'!')
    files[i].seek(0)
    return files[i].read() == b'%d!' % i
assert all(right(i) for i in range(10000))
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (20000, 20000)
print('right')
)";

// cryo may have no more descriptors than the process itself, and may not raise the limit.
class LimitedLive : public testing::Test {
 protected:
  ~LimitedLive() override {
    target_.clean_up();
    if (HasFailure()) printf("%s\n", files_.keep().c_str());
  }
  void start() {
    const Result<void> started = target_.start_until_ready({"python3", "-c", kTenThousand}, files_);
    ASSERT_TRUE(started) << started.error().to_string();
  }
  std::string output() const { return read_text(files_.path("output")); }
  Tool limited_to(int descriptors) {
    const std::string script = files_.path("limited");
    std::ofstream(script) << fmt::format(
        "#!/bin/sh\nulimit -n {}\nexec setpriv --bounding-set -sys_resource {} \"$@\"\n",
        descriptors, tool_under_test().path);
    std::filesystem::permissions(script, std::filesystem::perms::owner_all);
    return {"cryo", script};
  }

  TestFiles files_{current_test_name()};
  Target target_;
};

TEST_F(LimitedLive, ten_thousand_files_fit_below_the_limit_that_they_were_opened_under) {
  start();
  const Tool cryo = limited_to(20000);
  for (int i = 0; i < 2; ++i) {
    const std::string images = files_.new_images();
    const Result<void> dumped = target_.dump_and_kill(cryo, images, {}, soon());
    ASSERT_TRUE(dumped) << dumped.error().to_string();
    const Result<void> restored = target_.restore(cryo, images, {}, soon());
    ASSERT_TRUE(restored) << restored.error().to_string();
  }
  std::ofstream(files_.path("work/may-end")).flush();
  Result<int> status = target_.process().wait(soon());
  ASSERT_TRUE(status);
  EXPECT_TRUE(exited_with(*status, 0));
  EXPECT_EQ(output(), "ready\nright\n");
}

TEST_F(LimitedLive, is_told_which_limit_is_too_low) {
  start();
  const std::string images = files_.new_images();
  const Result<void> dumped = target_.dump_and_kill(tool_under_test(), images, {}, soon());
  ASSERT_TRUE(dumped) << dumped.error().to_string();
  Result<ToolRun> run = restore(limited_to(5000), images, {}, soon());
  ASSERT_TRUE(run);
  EXPECT_TRUE(exited_with(run->wait_status, 1)) << run->report();
  EXPECT_THAT(run->log, HasSubstr("ulimit -n"));
  EXPECT_NE(kill(target_.pid(), 0), 0);
}

}  // namespace
}  // namespace live
}  // namespace cryo
