// A program with CRIU's command line: ours, or the peer that ours has to agree with.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tests/harness/process.h"

namespace cryo::live {

struct Tool {
  std::string name;
  std::string path;
};

// The program under test: $CRYO_TOOL, or the cryo of this build.
Tool tool_under_test();
// CRIU itself: $CRYO_PEER, or where the project's script installs it. Nothing when it is not there.
std::optional<Tool> peer();
// Its tool for images, which is installed beside it.
std::string peer_crit();
// Whether a missing peer is a failure (as in CI) and not a reason to skip.
bool peer_is_required();

struct ToolRun {
  std::string command;  // as it could be typed
  int wait_status = 0;
  std::string log;
  std::string output;  // stdout and stderr
  bool worked() const { return exited_with(wait_status, 0); }
  // Everything a person needs to see why it failed: command, status, errors of the log.
  std::string report() const;
};

using Words = std::vector<std::string>;

// Runs `tool command -D images -v4 -o LOG options...` with its log and output beside the images.
// An error is returned only if it could not be run or did not end in time.
Result<ToolRun> run_tool(const Tool& tool, const std::string& command, const std::string& images,
                         const Words& options, Deadline deadline, const Words& environment = {});

// The same, but kills the tool after this time. Its wait status says whether it was faster.
Result<ToolRun> run_tool_killed(const Tool& tool, const std::string& command,
                                const std::string& images, const Words& options,
                                std::chrono::nanoseconds after);

// Both make the image directory if needed. Restore is detached: the tree comes to the subreaper.
Result<ToolRun> dump(const Tool& tool, pid_t pid, const std::string& images, const Words& options,
                     Deadline deadline);
Result<ToolRun> restore(const Tool& tool, const std::string& images, const Words& options,
                        Deadline deadline);

}  // namespace cryo::live
