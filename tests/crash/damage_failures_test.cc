// Bits are flipped in every kind of image file that a process can have.
#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "tests/harness/target.h"
#include "tests/harness/test_files.h"
#include "tests/harness/text.h"

namespace cryo::live {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kRich = R"(
import fcntl, mmap, os, select, signal
gone = open('gone', 'w+b', buffering=0)
gone.write(b'x' * 20000)
os.remove('gone')
memory = os.memfd_create('memory')
os.write(memory, b'y' * 9000)
reader, writer = os.pipe()
os.write(writer, b'some text')
counter = os.eventfd(3)
watching = select.epoll()
watching.register(counter)
shared = mmap.mmap(-1, 65536)
shared[:5] = b'hello'
locked = open('locked', 'w')
fcntl.lockf(locked, fcntl.LOCK_EX)
signal.setitimer(signal.ITIMER_REAL, 1000)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.kill(os.getpid(), signal.SIGUSR1)
print('ready', flush=True)
signal.pause()
)";

class DamageFailuresLive : public testing::Test {
 protected:
  void dump() {
    const Result<void> started = target_.start_until_ready({"python3", "-c", kRich}, files_);
    ASSERT_TRUE(started) << started.error().to_string();
    images_ = files_.new_images();
    const Result<void> dumped = target_.dump_and_kill(tool_under_test(), images_,
                                                      {"--file-locks", "--cpu-cap=all"}, soon());
    ASSERT_TRUE(dumped) << dumped.error().to_string();
  }
  std::string copy_of_images() {
    const std::string copy = files_.path("copy");
    fs::remove_all(copy);
    fs::copy(images_, copy, fs::copy_options::recursive);
    for (const char* file : {"/dump.log", "/dump.output", "/stats-dump"}) fs::remove(copy + file);
    return copy;
  }
  // Refused with an error, and nothing left; or restored, for not every bit can be known to be wrong. Then it stays
  // stopped: who knows what it would do.
  bool is_restored(const std::string& images) {
    Result<ToolRun> run =
        restore(tool_under_test(), images, {"--file-locks", "--leave-stopped"}, soon());
    if (!run) {
      ADD_FAILURE() << run.error().to_string();
      return false;
    }
    EXPECT_TRUE(run->worked() || exited_with(run->wait_status, 1)) << run->report();
    if (!run->worked()) {
      EXPECT_THAT(run->log + run->output, HasSubstr("Error ("));
    }
    Result<Process> left = Process::adopt(target_.pid());
    EXPECT_EQ(left.has_value(), run->worked()) << run->report();
    if (left) left->kill_and_reap();
    return run->worked();
  }
  ~DamageFailuresLive() override {
    target_.clean_up();
    if (HasFailure()) printf("%s\n", files_.keep().c_str());
  }

  TestFiles files_{current_test_name()};
  Target target_;
  std::string images_;
};

TEST_F(DamageFailuresLive, every_kind_of_image_with_a_flipped_bit) {
  dump();
  if (HasFatalFailure()) return;
  ASSERT_TRUE(is_restored(copy_of_images()));
  const char* given_seed = getenv("CRYO_SEED");
  const unsigned seed = given_seed != nullptr ? static_cast<unsigned>(atol(given_seed))
                                              : static_cast<unsigned>(time(nullptr));
  SCOPED_TRACE(fmt::format("CRYO_SEED={}", seed));
  std::minstd_rand random(seed);
  std::set<std::string> kinds;
  int refused = 0, restored = 0;
  for (int round = 0; round < 12; ++round) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(copy_of_images()))
      if (entry.file_size() != 0) names.push_back(entry.path().filename());
    std::ranges::sort(names);
    for (const std::string& name : names) {
      kinds.insert(name.substr(0, name.find_first_of("-.")));
      const std::string copy = copy_of_images();
      const auto offset = static_cast<int64_t>(random() % fs::file_size(copy + "/" + name));
      const auto bit = static_cast<int>(random() % 8);
      SCOPED_TRACE(fmt::format("{}: bit {} of byte {}", name, bit, offset));
      std::fstream file(copy + "/" + name, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(offset);
      const int byte = file.get();
      file.seekp(offset);
      file.put(static_cast<char>(byte ^ 1 << bit));
      file.close();
      ++(is_restored(copy) ? restored : refused);
      if (HasFailure()) return;
    }
  }
  printf("%d refused, %d restored: %s\n", refused, restored,
         fmt::format("{}", fmt::join(kinds, " ")).c_str());
  for (const char* kind :
       {"core", "cpuinfo", "cryo", "fdinfo", "filelocks", "files", "fs", "ghost", "ids",
        "inventory", "mm", "pagemap", "pages", "pipes", "pstree", "remap", "seccomp"})
    EXPECT_TRUE(kinds.contains(kind)) << kind;
  EXPECT_TRUE(is_restored(copy_of_images()));
}

}  // namespace
}  // namespace cryo::live
