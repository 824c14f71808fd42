#include "tests/harness/target.h"

#include <signal.h>
#include <sys/wait.h>

#include "tests/harness/text.h"

namespace cryo::live {
namespace {

Error unexpected(std::string what) { return Error::of(ErrorKind::os, std::move(what)); }

Result<void> must_work(Result<ToolRun> run) {
  if (!run) return std::move(run).error();
  if (!run->worked()) return unexpected(run->report());
  return {};
}

}  // namespace

Target::~Target() { clean_up(); }

Result<void> Target::start(const SpawnOptions& options) {
  process_ = TRY(Process::spawn(options));
  pid_ = process_.pid();
  return {};
}

Result<void> Target::start_until_ready(const Words& argv, TestFiles& files) {
  TRY(files.make("work"));
  SpawnOptions options;
  options.argv = argv;
  options.environment = plain_environment();
  options.directory = files.path("work");
  options.output = files.path("output");
  options.new_session = true;
  TRY(start(options));
  const auto is_ready = [&] {
    return read_text(options.output).find("ready\n") != std::string::npos;
  };
  if (wait_until(is_ready, soon())) return {};
  return unexpected("the program did not get ready: " + read_text(options.output));
}

Result<void> Target::dump_and_kill(const Tool& tool, const std::string& images,
                                   const Words& options, Deadline deadline) {
  was_stopped_ = is_stopped();
  const std::vector<pid_t> family = descendants_of(pid_);
  TRY(must_work(dump(tool, pid_, images, options, deadline)));
  return bury(family, deadline);
}

Result<void> Target::dump_and_leave(const Tool& tool, const std::string& images, Words options,
                                    Deadline deadline) {
  options.emplace_back("--leave-running");
  was_stopped_ = is_stopped();
  TRY(must_work(dump(tool, pid_, images, options, deadline)));
  return check_undisturbed();
}

Result<void> Target::kill(Deadline deadline) {
  const std::vector<pid_t> family = descendants_of(pid_);
  process_.send_signal(SIGKILL);
  return bury(family, deadline);
}

// The pid and those of the threads are taken until the zombie is reaped.
Result<void> Target::bury(const std::vector<pid_t>& family, Deadline deadline) {
  const int status = TRY_IN(process_.wait(deadline), "waiting for the end of the dumped process");
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
    return unexpected("the dumped process ended by itself: " + describe_wait_status(status));
  }
  bury_all(family);
  kill_session(pid_);
  return {};
}

Result<void> Target::restore(const Tool& tool, const std::string& images, const Words& options,
                             Deadline deadline) {
  TRY(must_work(live::restore(tool, images, options, deadline)));
  process_ = TRY_IN(Process::adopt(pid_), "looking for the restored process");
  return check_undisturbed();
}

bool Target::is_stopped() const {
  return read_text(fmt::format("/proc/{}/status", pid_)).find("State:\tT ") != std::string::npos;
}

Result<void> Target::check_undisturbed() const {
  if (is_stopped() && !was_stopped_) return unexpected("the process is stopped");
  for (const std::string& line : split_lines(read_text(fmt::format("/proc/{}/status", pid_)))) {
    if (line.starts_with("State:\tt")) return unexpected("the process is stopped: " + line);
    if (line.starts_with("TracerPid:") && line != "TracerPid:\t0") {
      return unexpected("the process is still traced: " + line);
    }
  }
  return {};
}

int Target::clean_up() {
  const std::vector<pid_t> family = pid_ > 0 ? descendants_of(pid_) : std::vector<pid_t>();
  process_.kill_and_reap();
  bury_all(family);
  return static_cast<int>(family.size()) + (pid_ > 0 ? kill_session(pid_) : 0);
}

}  // namespace cryo::live
