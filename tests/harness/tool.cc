#include "tests/harness/tool.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "tests/harness/text.h"

namespace cryo::live {
namespace {

constexpr size_t kLinesOfLog = 30;

// The error lines, and the last lines with what led to them.
std::string telling_part(const std::string& log) {
  const std::vector<std::string> lines = split_lines(log);
  const size_t tail = lines.size() > kLinesOfLog ? lines.size() - kLinesOfLog : 0;
  std::string result;
  for (size_t i = 0; i < lines.size(); i++) {
    if (i >= tail || lines[i].find("Error") != std::string::npos) result += "  " + lines[i] + "\n";
  }
  return result;
}

std::string as_typed(const Words& argv) { return fmt::format("{}", fmt::join(argv, " ")); }

SpawnOptions invocation(const Tool& tool, const std::string& command, const std::string& images,
                        const Words& options, const Words& environment) {
  SpawnOptions spawn;
  spawn.argv = {tool.path, command, "-D", images, "-v4", "-o", command + ".log"};
  spawn.argv.insert(spawn.argv.end(), options.begin(), options.end());
  spawn.environment = plain_environment();
  spawn.environment.insert(spawn.environment.end(), environment.begin(), environment.end());
  spawn.output = images + "/" + command + ".output";
  return spawn;
}

ToolRun collect(const SpawnOptions& spawn, const std::string& command, const std::string& images) {
  ToolRun run;
  run.command = as_typed(spawn.argv);
  run.log = read_text(images + "/" + command + ".log");
  run.output = read_text(spawn.output);
  return run;
}

}  // namespace

Tool tool_under_test() {
  const char* path = getenv("CRYO_TOOL");
  return {"cryo", path != nullptr ? path : CRYO_BINARY};
}

std::optional<Tool> peer() {
  const char* path = getenv("CRYO_PEER");
  Tool tool = {"criu", path != nullptr ? path : CRYO_SOURCE_DIR "/build/peer/criu"};
  if (access(tool.path.c_str(), X_OK) != 0) return std::nullopt;
  return tool;
}

std::string peer_crit() {
  const std::optional<Tool> tool = peer();
  return tool ? std::filesystem::path(tool->path).replace_filename("crit").string() : "crit";
}

bool peer_is_required() { return getenv("CRYO_REQUIRE_PEER") != nullptr; }

std::string ToolRun::report() const {
  return fmt::format("{}\n{}\n{}{}", command, describe_wait_status(wait_status),
                     telling_part(output), telling_part(log));
}

Result<ToolRun> run_tool(const Tool& tool, const std::string& command, const std::string& images,
                         const Words& options, Deadline deadline, const Words& environment) {
  const SpawnOptions spawn = invocation(tool, command, images, options, environment);
  Process process = TRY_IN(Process::spawn(spawn), "running {}", as_typed(spawn.argv));
  const Result<int> status = process.wait(deadline);
  process.kill_and_reap();
  ToolRun run = collect(spawn, command, images);
  if (!status) return Error::of(ErrorKind::os, "did not end in time: " + run.report());
  run.wait_status = status.value();
  return run;
}

Result<ToolRun> run_tool_killed(const Tool& tool, const std::string& command,
                                const std::string& images, const Words& options,
                                std::chrono::nanoseconds after) {
  const SpawnOptions spawn = invocation(tool, command, images, options, {});
  Process process = TRY_IN(Process::spawn(spawn), "running {}", as_typed(spawn.argv));
  const timespec time = {after.count() / 1'000'000'000, after.count() % 1'000'000'000};
  nanosleep(&time, nullptr);
  process.send_signal(SIGKILL);
  const int status = TRY(process.wait(deadline_in(std::chrono::seconds(30))));
  ToolRun run = collect(spawn, command, images);
  run.wait_status = status;
  return run;
}

Result<ToolRun> dump(const Tool& tool, pid_t pid, const std::string& images, const Words& options,
                     Deadline deadline) {
  std::filesystem::create_directories(images);
  Words all = {"-t", std::to_string(pid)};
  all.insert(all.end(), options.begin(), options.end());
  return run_tool(tool, "dump", images, all, deadline);
}

Result<ToolRun> restore(const Tool& tool, const std::string& images, const Words& options,
                        Deadline deadline) {
  Words all = {"--restore-detached"};
  all.insert(all.end(), options.begin(), options.end());
  return run_tool(tool, "restore", images, all, deadline);
}

}  // namespace cryo::live
