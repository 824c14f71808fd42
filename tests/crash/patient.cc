#include "tests/crash/patient.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <set>

#include "tests/harness/text.h"

namespace cryo::live {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

// A patient that has not come round after that will not. Generous, because machines are loaded.
constexpr std::chrono::seconds kPatience{20};

AssertionResult to_assertion(const Result<void>& result) {
  if (result) return AssertionSuccess();
  return AssertionFailure() << result.error().to_string();
}

std::vector<pid_t> own_children() {
  std::vector<pid_t> children;
  std::ifstream list("/proc/thread-self/children");
  for (pid_t pid; list >> pid;) children.push_back(pid);
  return children;
}

// What a running process may show differently from one moment to the next.
const std::vector<std::string> kBusy = {"task/*/syscall", "task/*/status/SigPnd",
                                        "task/*/status/ShdPnd", "task/*/stat/signal"};

}  // namespace

Patient::~Patient() {
  target_.clean_up();
  for (const pid_t left : own_children()) {
    Result<Process> process = Process::adopt(left);
    if (process) process->kill_and_reap();
  }
  if (testing::Test::HasFailure()) printf("%s\n", files_.keep().c_str());
}

AssertionResult Patient::start(const std::string& set) {
  if (const Result<void> made = files_.make(); !made) return to_assertion(made);
  Result<SharedPage> shared = SharedPage::map(files_.path("sync"));
  if (!shared) return AssertionFailure() << shared.error().to_string();
  shared_.emplace(std::move(shared).value());

  SpawnOptions options;
  options.argv = {CRYO_SELF_CHECKING, files_.directory(), set};
  options.environment = plain_environment();
  options.output = files_.path("output");
  options.new_session = true;
  if (const Result<void> started = target_.start(options); !started) return to_assertion(started);
  SharedState& state = **shared_;
  const auto runs = [&] { return state.reached != 0 || target_.process().has_ended(); };
  if (!wait_until(runs, deadline_in(kPatience)) || target_.process().has_ended()) {
    return AssertionFailure() << "the patient did not start: " << read_text(options.output);
  }
  if (const AssertionResult goes_on = every_worker_goes_on(); !goes_on) return goes_on;
  std::vector<pid_t> family = descendants_of(pid());
  family.push_back(pid());
  for (const pid_t member : family) {
    Result<ProcPicture> picture = ProcPicture::of(member);
    if (!picture) return AssertionFailure() << picture.error().to_string();
    healthy_.push_back(std::move(picture).value());
  }
  // A second look, to see that what is called healthy is not a fleeting state.
  return is_unharmed();
}

bool Patient::is_alive() { return target_.process() && !target_.process().has_ended(); }

AssertionResult Patient::is_unharmed() {
  if (const AssertionResult looks = looks_as_before(); !looks) return looks;
  if (const AssertionResult goes_on = every_worker_goes_on(); !goes_on) return goes_on;
  return has_not_complained();
}

AssertionResult Patient::has_noticed_nothing() {
  if (const AssertionResult unharmed = is_unharmed(); !unharmed) return unharmed;
  if ((*shared_)->interruptions == 0) return AssertionSuccess();
  return AssertionFailure() << (*shared_)->interruptions << " calls ended with EINTR";
}

AssertionResult Patient::looks_as_before() {
  for (const ProcPicture& picture : healthy_)
    if (const AssertionResult looks = looks_as_in(picture); !looks) return looks;
  return AssertionSuccess();
}

// Each key only has to show its healthy value once: masks change for the time of a handler.
AssertionResult Patient::looks_as_in(const ProcPicture& healthy) {
  std::vector<ProcDifference> open;
  const auto settled = [&] {
    Result<ProcPicture> now = ProcPicture::of(healthy.pid);
    if (!now) return false;
    std::vector<ProcDifference> differ = differences(healthy, *now, kBusy);
    if (open.empty()) open = differ;
    std::set<std::string> keys;
    for (const ProcDifference& difference : differ) keys.insert(difference.key);
    std::erase_if(open, [&](const ProcDifference& old) { return !keys.contains(old.key); });
    return open.empty();
  };
  if (wait_until([&] { return !is_alive() || settled(); }, deadline_in(kPatience)) && is_alive()) {
    return AssertionSuccess();
  }
  if (!is_alive()) return AssertionFailure() << "the patient is dead";
  return AssertionFailure() << "still different after a while:\n" << to_string(open);
}

AssertionResult Patient::every_worker_goes_on() {
  const SharedState& state = **shared_;
  std::array<uint64_t, std::size(SharedState{}.rounds)> before = {};
  for (size_t i = 0; i < state.workers; i++) before[i] = state.rounds[i];
  const auto find_stuck = [&] {
    for (size_t i = 0; i < state.workers; i++) {
      if (state.rounds[i] < before[i] + 2) return static_cast<int>(i);
    }
    return -1;
  };
  wait_until([&] { return !is_alive() || find_stuck() < 0; }, deadline_in(kPatience));
  if (!is_alive()) return AssertionFailure() << "the patient is dead";
  if (const int stuck = find_stuck(); stuck >= 0) {
    return AssertionFailure() << "worker " << stuck << " does not go on\n"
                              << has_not_complained().message();
  }
  return AssertionSuccess();
}

AssertionResult Patient::has_not_complained() {
  if ((*shared_)->complaints == 0) return AssertionSuccess();
  return AssertionFailure() << "the patient complains: " << (*shared_)->complaint;
}

AssertionResult Patient::is_alone() {
  std::string strangers;
  const auto alone = [&] {
    strangers.clear();
    for (const pid_t child : own_children()) {
      if (child == pid()) continue;
      if (waitpid(child, nullptr, WNOHANG | __WALL) == child) continue;  // it had only to be reaped
      strangers += fmt::format("{} {}", child, read_text(fmt::format("/proc/{}/stat", child)));
    }
    return strangers.empty();
  };
  if (wait_until(alone, deadline_in(kPatience))) return AssertionSuccess();
  return AssertionFailure() << "processes are left: " << strangers;
}

bool Patient::lives_on() {
  (void)every_worker_goes_on();
  return is_alive();
}

bool Patient::was_restored() {
  Result<Process> process = Process::adopt(pid());
  if (!process) return false;
  target_.process() = std::move(process).value();
  return lives_on();
}

AssertionResult Patient::is_buried() { return to_assertion(target_.kill(deadline_in(kPatience))); }

AssertionResult Patient::is_gone() {
  const auto gone = [&] {
    for (const pid_t child : own_children()) waitpid(child, nullptr, WNOHANG | __WALL);
    return own_children().empty() && kill(pid(), 0) != 0;
  };
  if (wait_until(gone, deadline_in(kPatience))) return AssertionSuccess();
  return AssertionFailure() << "the restored process or a part of it is left: "
                            << read_text(fmt::format("/proc/{}/status", pid()));
}

AssertionResult Patient::comes_back_from(const std::string& images) {
  const Result<void> restored =
      target_.restore(tool_under_test(), images, {}, deadline_in(kPatience));
  if (!restored) return to_assertion(restored);
  return is_unharmed();
}

AssertionResult Patient::ends_well() {
  (*shared_)->released = 1;
  futex_wake((*shared_)->released);
  const Result<int> status = target_.process().wait(deadline_in(kPatience));
  if (!status) return AssertionFailure() << status.error().to_string();
  if (const AssertionResult well = has_not_complained(); !well) return well;
  if (exited_with(status.value(), 0)) return AssertionSuccess();
  return AssertionFailure() << describe_wait_status(status.value());
}

namespace {

constexpr std::chrono::seconds kTimeLimit{30};

Result<KilledRun> judge(Result<ToolRun> run) {
  if (!run) return std::move(run).error();
  KilledRun killed;
  killed.run = std::move(run).value();
  killed.was_killed =
      WIFSIGNALED(killed.run.wait_status) && WTERMSIG(killed.run.wait_status) == SIGKILL;
  if (!killed.was_killed && !killed.run.worked()) {
    return Error::of(ErrorKind::os, "failed before it was killed:\n" + killed.run.report());
  }
  return killed;
}

}  // namespace

Result<KilledRun> run_killed_at(int kill_at, const std::string& command, const std::string& images,
                                const Words& options) {
  return judge(run_tool(tool_under_test(), command, images, options, deadline_in(kTimeLimit),
                        {fmt::format("CRYO_KILL_AT={}", kill_at)}));
}

Result<KilledRun> run_killed_after(std::chrono::nanoseconds time, const std::string& command,
                                   const std::string& images, const Words& options) {
  return judge(run_tool_killed(tool_under_test(), command, images, options, time));
}

}  // namespace cryo::live
