#include "tests/harness/live_run.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "tests/harness/text.h"
#include "tests/harness/victim.h"

namespace cryo::live {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kTimeLimit{60};

Error unexpected(std::string what) { return Error::of(ErrorKind::os, std::move(what)); }

Tool tool_for(By by) { return by == By::cryo ? tool_under_test() : *peer(); }

Words with(Words options, const char* more) {
  options.emplace_back(more);
  return options;
}

Result<void> must_work(Result<ToolRun> run) {
  if (!run) return std::move(run).error();
  if (!run->worked()) return unexpected(run->report());
  return {};
}

Result<void> must_refuse(const ToolRun& run, const std::string& text) {
  if (!exited_with(run.wait_status, 1)) {
    return unexpected("should have been refused with exit status 1:\n" + run.report());
  }
  if ((run.log + run.output).find(text) == std::string::npos) {
    return unexpected(fmt::format("refused, but without a word of '{}':\n{}", text, run.report()));
  }
  return {};
}

}  // namespace

LiveRun::LiveRun(std::string full_name, const Variant& variant, const Traits& traits)
    : full_name_(std::move(full_name)),
      variant_(variant),
      traits_(traits),
      directory_(fmt::format("{}/live/{}.{}", CRYO_BUILD_DIR, full_name_, getpid())),
      deadline_(deadline_in(kTimeLimit)) {}

LiveRun::~LiveRun() {
  victim_.kill_and_reap();
  if (pid_ > 0) kill_session(pid_);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

Result<Outcome> LiveRun::run() {
  TRY(start());
  while (TRY(next_checkpoint())) {
    const std::optional<ProcPicture> before = TRY(picture());
    for (const Step& step : variant_.steps) {
      TRY(perform(step));
      if (refused_) return Outcome::passed;
      const std::optional<ProcPicture> after = TRY(picture());
      if (before && after) compare(*before, *after);
    }
    shared_[0]->released++;
    futex_wake(shared_[0]->released);
  }
  return last_words();
}

// Taken when the victim sleeps in checkpoint() again. CRIU loses some of what it shows, and so do
// its images, hence only where cryo is alone at work.
Result<std::optional<ProcPicture>> LiveRun::picture() const {
  std::optional<ProcPicture> none;
  if (variant_.steps.empty() || !variant_.by_cryo_alone()) return none;
  const std::string path =
      fmt::format("/proc/{}/task/{}/syscall", pid_, shared_[0]->checkpointer.load());
  const std::string beginning = fmt::format("{} ", SYS_futex);
  const auto sleeps = [&] { return read_text(path).starts_with(beginning); };
  if (!wait_until(sleeps, deadline_)) {
    return unexpected("the victim does not sleep in checkpoint(), but is here: " + read_text(path));
  }
  return std::optional<ProcPicture>(TRY(ProcPicture::of(pid_)));
}

void LiveRun::compare(const ProcPicture& before, const ProcPicture& after) {
  const std::vector<ProcDifference> found = differences(before, after, traits_.proc_differences);
  if (!found.empty() && proc_differences_.empty()) proc_differences_ = to_string(found);
}

Result<void> LiveRun::start() {
  std::error_code error;
  fs::remove_all(directory_, error);
  fs::create_directories(directory_ + "/cwd", error);
  if (error) return Error::os(error.value(), "making " + directory_);
  shared_.push_back(TRY(SharedPage::map(directory_ + "/sync")));

  SpawnOptions options;
  options.argv = {read_link("/proc/self/exe"), "--gtest_filter=" + full_name_, "--gtest_color=no"};
  options.environment = plain_environment();
  options.environment.push_back(std::string(kVictimVariable) + "=" + directory_);
  options.directory = directory_ + "/cwd";
  options.output = directory_ + "/output";
  options.new_session = true;
  options.dies_with_parent = true;
  victim_ = TRY(Process::spawn(options));
  pid_ = victim_.pid();
  return {};
}

Result<bool> LiveRun::next_checkpoint() {
  SharedState& state = *shared_[0];
  for (;;) {
    const uint32_t reached = state.reached;
    if (reached > state.released) return true;
    if (state.outcome != Outcome::none || victim_.has_ended()) return false;
    if (milliseconds_left(deadline_) == 0) {
      return unexpected("the victim neither ended nor came to a checkpoint in time; it is in:\n" +
                        read_text(fmt::format("/proc/{}/syscall", pid_)) +
                        read_text(fmt::format("/proc/{}/status", pid_)));
    }
    // Short, because nobody wakes us when the victim dies.
    futex_wait(state.reached, reached, std::chrono::milliseconds(50));
  }
}

Result<void> LiveRun::perform(const Step& step) {
  const std::string images = new_images();
  switch (step.kind) {
    case Step::Kind::restart:
      TRY(dump_and_kill(step, images));
      return restore_victim(step, images);
    case Step::Kind::leave_running:
      return dump_and_leave(step, images);
    case Step::Kind::kill_running:
      TRY(dump_and_leave(step, images));
      victim_.send_signal(SIGKILL);
      TRY(bury_victim());
      return restore_victim(step, images);
    case Step::Kind::refused_dump:
      return expect_dump_refused(images);
    case Step::Kind::refused_restore:
      TRY(dump_and_kill(step, images));
      return expect_restore_refused(images);
  }
  return {};
}

Result<void> LiveRun::dump_and_kill(const Step& step, const std::string& images) {
  TRY(must_work(dump(tool_for(step.dump), pid_, images, traits_.dump_options, deadline_)));
  return bury_victim();
}

Result<void> LiveRun::dump_and_leave(const Step& step, const std::string& images) {
  const Words options = with(traits_.dump_options, "--leave-running");
  TRY(must_work(dump(tool_for(step.dump), pid_, images, options, deadline_)));
  return check_undisturbed();
}

Result<void> LiveRun::expect_dump_refused(const std::string& images) {
  const ToolRun run = TRY(dump(tool_under_test(), pid_, images, traits_.dump_options, deadline_));
  TRY(must_refuse(run, traits_.dump_refusal));
  return check_undisturbed();
}

Result<void> LiveRun::expect_restore_refused(const std::string& images) {
  if (traits_.between) traits_.between({directory_ + "/cwd", images, pid_});
  const ToolRun run = TRY(restore(tool_under_test(), images, traits_.restore_options, deadline_));
  TRY(must_refuse(run, traits_.restore_refusal));
  refused_ = true;
  if (kill(pid_, 0) == 0) return unexpected("the refused restore has left a process");
  return {};
}

// The pid and those of the threads are taken until the zombie is reaped.
Result<void> LiveRun::bury_victim() {
  const int status = TRY_IN(victim_.wait(deadline_), "waiting for the end of the dumped process");
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
    return unexpected("the dumped process ended by itself: " + describe_wait_status(status));
  }
  kill_session(pid_);
  return {};
}

Result<void> LiveRun::restore_victim(const Step& step, const std::string& images) {
  if (traits_.between) traits_.between({directory_ + "/cwd", images, pid_});
  TRY(must_work(restore(tool_for(step.restore), images, traits_.restore_options, deadline_)));
  victim_ = TRY_IN(Process::adopt(pid_), "looking for the restored process");
  return check_undisturbed();
}

Result<void> LiveRun::check_undisturbed() const {
  for (const std::string& line : split_lines(read_text(fmt::format("/proc/{}/status", pid_)))) {
    if (line.rfind("State:\tT", 0) == 0 || line.rfind("State:\tt", 0) == 0 ||
        line.rfind("State:\tZ", 0) == 0) {
      return unexpected("the process does not run: " + line);
    }
    if (line.rfind("TracerPid:", 0) == 0 && line != "TracerPid:\t0") {
      return unexpected("the process is still traced: " + line);
    }
  }
  return {};
}

Result<Outcome> LiveRun::last_words() {
  const int status = TRY(victim_.wait(deadline_));
  const Outcome outcome = shared_[0]->outcome;
  if (outcome == Outcome::none || !WIFEXITED(status)) {
    return unexpected("the victim ended too early: " + describe_wait_status(status));
  }
  if (outcome == Outcome::passed && !exited_with(status, 0)) {
    return unexpected("the victim passed, but ended with " + describe_wait_status(status));
  }
  if (outcome == Outcome::passed && shared_[0]->reached == 0) {
    return unexpected("the body never called checkpoint()");
  }
  if (const int left = kill_session(pid_); left > 0 && outcome == Outcome::passed) {
    return unexpected(fmt::format("the victim left {} processes behind", left));
  }
  return outcome;
}

std::string LiveRun::new_images() {
  return fmt::format("{}/images-{}", directory_, ++images_made_);
}

std::string LiveRun::victim_output() const { return read_text(directory_ + "/output"); }

std::string LiveRun::keep_files() {
  const std::string kept = fmt::format("{}/failed/{}", CRYO_BUILD_DIR, full_name_);
  std::error_code error;
  fs::create_directories(fs::path(kept).parent_path(), error);
  fs::remove_all(kept, error);
  fs::rename(directory_, kept, error);
  return kept;
}

std::string repeat_command(const std::string& full_name) {
  std::string command;
  for (const char* name : {"CRYO_TOOL", "CRYO_PEER"}) {
    if (const char* value = getenv(name)) command += fmt::format("{}={} ", name, value);
  }
  return command + read_link("/proc/self/exe") + " --gtest_filter=" + full_name;
}

}  // namespace cryo::live
