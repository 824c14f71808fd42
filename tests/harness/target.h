// Target: a process that tests dump, kill and restore, as its parent or subreaper.
#pragma once

#include <string>

#include "tests/harness/process.h"
#include "tests/harness/test_files.h"
#include "tests/harness/tool.h"

namespace cryo::live {

class Target {
 public:
  Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  ~Target();
  Result<void> start(const SpawnOptions& options);
  // In a new directory `work` of `files`, with its output beside that; returns when it has written "ready".
  Result<void> start_until_ready(const Words& argv, TestFiles& files);

  pid_t pid() const { return pid_; }
  Process& process() { return process_; }

  // The dump kills it and all below it; returns when the pids are free again.
  Result<void> dump_and_kill(const Tool& tool, const std::string& images, const Words& options,
                             Deadline deadline);
  // The dump leaves it running, and as it was.
  Result<void> dump_and_leave(const Tool& tool, const std::string& images, Words options,
                              Deadline deadline);
  Result<void> kill(Deadline deadline);
  Result<void> restore(const Tool& tool, const std::string& images, const Words& options,
                       Deadline deadline);
  bool is_stopped() const;
  // Not traced, and stopped only if it was so before the dump.
  Result<void> check_undisturbed() const;
  // Kills and reaps what is left of its session; returns how many processes that were.
  int clean_up();

 private:
  Result<void> bury(const std::vector<pid_t>& family, Deadline deadline);

  Process process_;
  pid_t pid_ = -1;
  bool was_stopped_ = false;
};

}  // namespace cryo::live
