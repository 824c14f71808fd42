#include "tests/scenarios/program.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>

#include "procfs/stat.h"
#include "tests/harness/text.h"

namespace cryo::live {
namespace {

constexpr std::chrono::seconds kTimeLimit{220};

testing::AssertionResult to_assertion(const Result<void>& result) {
  if (result) return testing::AssertionSuccess();
  return testing::AssertionFailure() << result.error().to_string();
}

Tool tool_for(By by) { return by == By::cryo ? tool_under_test() : *peer(); }

// Returns when something changed in the directories, or after a tenth of a second.
void wait_for_change(const Fd& watch, Deadline deadline) {
  pollfd changed = {watch.raw(), POLLIN, 0};
  if (poll(&changed, 1, std::min(100, milliseconds_left(deadline))) != 1) return;
  char events[4096];
  while (read(watch.raw(), events, sizeof events) > 0) {
  }
}

}  // namespace

ProgramTest::ProgramTest() : files_(current_test_name()), deadline_(deadline_in(kTimeLimit)) {}

void ProgramTest::SetUp() {
  if (!variant_->by_cryo_alone() && !peer()) {
    ASSERT_FALSE(peer_is_required()) << "CRIU is not installed";
    GTEST_SKIP() << "CRIU is not installed (./dev peer does it; CRYO_PEER names another place)";
  }
  ASSERT_TRUE(to_assertion(files_.make("cwd")));
}

void ProgramTest::TearDown() {
  target_.clean_up();
  if (HasFailure()) {
    const std::string written = output();
    printf("the program's output:\n%s\n%s\n", written.c_str(), files_.keep().c_str());
  }
}

std::string ProgramTest::path(const std::string& name) const { return files_.path("cwd/" + name); }
std::string ProgramTest::text_of(const std::string& name) const { return read_text(path(name)); }
std::string ProgramTest::output() const { return read_text(files_.path("output")); }

void ProgramTest::make_file(const std::string& name, size_t size) {
  std::string text;
  text.reserve(size + 64);
  std::minstd_rand numbers(1);
  while (text.size() < size) {
    const auto number = static_cast<uint32_t>(numbers());
    text += fmt::format("{:x} {}\n", number, number % 1000);
  }
  text.resize(size);
  write_text(path(name), text);
}

testing::AssertionResult ProgramTest::start(const Words& argv, const Words& environment) {
  SpawnOptions options;
  options.argv = argv;
  options.environment = plain_environment();
  options.environment.insert(options.environment.end(), environment.begin(), environment.end());
  options.directory = files_.path("cwd");
  options.output = files_.path("output");
  options.new_session = true;
  return to_assertion(target_.start(options));
}

testing::AssertionResult ProgramTest::run(const Words& argv) {
  SpawnOptions options;
  options.argv = argv;
  options.environment = plain_environment();
  options.directory = files_.path("cwd");
  options.output = files_.path("reference-output");
  options.new_session = true;
  Target reference;
  if (const Result<void> started = reference.start(options); !started) return to_assertion(started);
  const Result<int> status = reference.process().wait(deadline_);
  if (!status) return testing::AssertionFailure() << status.error().to_string();
  if (exited_with(status.value(), 0)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << argv[0] << ": " << describe_wait_status(status.value());
}

testing::AssertionResult ProgramTest::wait_for_output(const std::string& text) {
  return wait_for([&] { return output().find(text) != std::string::npos; },
                  "its output has " + text);
}

testing::AssertionResult ProgramTest::wait_for_size(const std::string& name, size_t size) {
  const auto is_so_large = [&] {
    std::error_code error;
    const auto now = std::filesystem::file_size(path(name), error);
    return !error && now >= size;
  };
  return wait_for(is_so_large, fmt::format("{} has {} bytes", name, size));
}

testing::AssertionResult ProgramTest::wait_for(const std::function<bool()>& condition,
                                               const std::string& what) {
  const Fd watch(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  inotify_add_watch(watch.raw(), files_.directory().c_str(), IN_MODIFY | IN_CREATE);
  inotify_add_watch(watch.raw(), files_.path("cwd").c_str(), IN_MODIFY | IN_CREATE);
  while (!condition()) {
    if (has_ended()) return testing::AssertionFailure() << "the program ended before " << what;
    if (milliseconds_left(deadline_) == 0) {
      return testing::AssertionFailure() << "waited too long until " << what;
    }
    wait_for_change(watch, deadline_);
  }
  return testing::AssertionSuccess();
}

Result<void> ProgramTest::perform(const Step& step, const std::string& images,
                                  const Words& dump_options, const Words& restore_options) {
  const Tool dumps = tool_for(step.dump);
  if (step.kind == Step::Kind::leave_running)
    return target_.dump_and_leave(dumps, images, dump_options, deadline_);
  TRY(target_.dump_and_kill(dumps, images, dump_options, deadline_));
  return target_.restore(tool_for(step.restore), images, restore_options, deadline_);
}

testing::AssertionResult ProgramTest::checkpoint(const Words& dump_options,
                                                 const Words& restore_options) {
  std::string images_before;
  for (size_t i = 0; i < variant_->steps.size(); i++) {
    if (i > 0) {
      const testing::AssertionResult worked = works();
      if (!worked) return worked;
    }
    const std::string images = files_.new_images();
    if (has_ended()) return testing::AssertionFailure() << "the program ended before the dump";
    const Result<void> done = perform(variant_->steps[i], images, dump_options, restore_options);
    if (!done) return to_assertion(done) << "\ncheckpoint " << i + 1;
    // Twenty images of a large program are more than a disk may have room for.
    std::filesystem::remove_all(images_before);
    images_before = images;
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult ProgramTest::works() {
  constexpr uint64_t kTicks = 3;  // of 10 ms
  const auto stat_now = [&](pid_t process) {
    return procfs::parse_stat(read_text(fmt::format("/proc/{}/stat", process)));
  };
  // By all its processes, also those that have ended.
  const auto used = [&]() -> uint64_t {
    std::vector<pid_t> all = descendants_of(pid());
    all.push_back(pid());
    uint64_t ticks = 0;
    for (const pid_t process : all) {
      Result<procfs::TaskStat> stat = stat_now(process);
      if (stat)
        ticks += stat->utime + stat->stime + static_cast<uint64_t>(stat->cutime + stat->cstime);
    }
    return ticks;
  };
  // Then it is not meant to. A restored one has its SIGSTOP when cryo ends, but may not have come to it.
  const auto is_stopped = [&] {
    Result<procfs::TaskStat> stat = stat_now(pid());
    return stat && stat->state == 'T';
  };
  const uint64_t before = used();
  const auto has_worked = [&] { return used() >= before + kTicks || has_ended() || is_stopped(); };
  if (!wait_until(has_worked, deadline_))
    return testing::AssertionFailure() << "the program does not work";
  return testing::AssertionSuccess();
}

std::string ProgramTest::built(const std::string& name) {
  return CRYO_BUILD_DIR "/tests/programs/" + name;
}

testing::AssertionResult ProgramTest::ends_with_status(int status) {
  const Result<int> ended = target_.process().wait(deadline_);
  if (!ended) return testing::AssertionFailure() << ended.error().to_string();
  if (exited_with(ended.value(), status)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << describe_wait_status(ended.value());
}

bool add_program_tests(const char* suite, const char* name, const char* file, int line,
                       const std::function<ProgramTest*()>& make_test) {
  for (const Variant& variant : program_variants()) {
    const auto make = [make_test, &variant] {
      ProgramTest* test = make_test();
      test->be(variant);
      return test;
    };
    testing::RegisterTest((std::string(suite) + "Live").c_str(),
                          (std::string(name) + "_" + variant.name).c_str(), nullptr, nullptr, file,
                          line, make);
  }
  return true;
}

}  // namespace cryo::live
