#include "plan/action_scripts.h"

#include "sys/process.h"
#include "sys/spawn.h"

namespace cryo {
namespace {

// What a shell answers for a program that a signal ended.
constexpr int kSignalled = 128;
constexpr int kNotStarted = 127;

}  // namespace

ActionScripts::ActionScripts(std::vector<std::string> scripts, FdRef images, FdRef work, Log& log)
    : scripts_(std::move(scripts)), images_(images), work_(work), log_(log) {}

Result<void> ActionScripts::run(Action action, Pid root) {
  if (scripts_.empty()) return {};
  log_.debug("Running {} scripts", action_name(action));
  const std::vector<std::string> environment = environment_for(action, root);
  int status = 0;
  for (auto script = scripts_.rbegin(); script != scripts_.rend(); ++script) {
    const Result<int> one = run_one(*script, environment);
    if (one.has_value() && one.value() == 0) continue;
    status |= one.has_value() ? one.value() : kNotStarted;
    const std::string why =
        one.has_value() ? fmt::format("exited with {}", one.value()) : one.error().message();
    log_.warn("{} script {} failed: {}", action_name(action), *script, why);
  }
  if (status == 0 || !action_failure_counts(action)) return {};
  failed_status_ = status;
  return Error::of(ErrorKind::os, fmt::format("one of the {} scripts failed with status {}",
                                              action_name(action), status));
}

Result<int> ActionScripts::run_one(const std::string& script,
                                   const std::vector<std::string>& environment) {
  const Pid pid = TRY(sys::spawn(
      {.words = {script}, .environment = environment, .output = log_.sink(), .directory = work_}));
  const sys::WaitStatus status = TRY(sys::wait_for(leader_of(pid)));
  return status.exited() ? status.exit_code() : kSignalled + status.term_signal();
}

std::vector<std::string> ActionScripts::environment_for(Action action, Pid root) const {
  std::vector<std::string> environment = sys::environment();
  std::erase_if(environment,
                [](const std::string& entry) { return entry.starts_with("CRTOOLS_"); });
  environment.push_back(fmt::format("CRTOOLS_SCRIPT_ACTION={}", action_name(action)));
  environment.push_back(
      fmt::format("CRTOOLS_IMAGE_DIR=/proc/{}/fd/{}", sys::getpid(), images_.raw()));
  if (root.value > 0) environment.push_back(fmt::format("CRTOOLS_INIT_PID={}", root));
  return environment;
}

}  // namespace cryo
