// Patient: the self-checking program (tests/victims) and the examination whether it is unharmed after a
// dump or restore that was killed in the middle.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tests/harness/proc_picture.h"
#include "tests/harness/shared_page.h"
#include "tests/harness/target.h"
#include "tests/harness/test_files.h"

namespace cryo::live {

class Patient {
 public:
  // `set` names the workers: "waits", "signals", or "family", those that wait in four processes.
  testing::AssertionResult start(const std::string& set);

  // Every worker goes on, nothing has complained, and /proc shows what it showed at first: mappings,
  // descriptors, masks, no tracer. A heart that was stopped may take a moment; this waits for it.
  testing::AssertionResult is_unharmed();
  // Unharmed, and not even interrupted in a call that every tracer's stop interrupts.
  testing::AssertionResult has_noticed_nothing();
  // No process is left that a killed program had started.
  testing::AssertionResult is_alone();
  // Whether it is there and will stay: waits until its workers go on, or until it is dead.
  bool lives_on();
  // The same for what a killed restore may have made.
  bool was_restored();
  // It was killed, and its pid is free now.
  testing::AssertionResult is_buried();
  // Nothing of it is left, nor of what was to become it.
  testing::AssertionResult is_gone();
  testing::AssertionResult comes_back_from(const std::string& images);
  // Ends it; its own verdict.
  testing::AssertionResult ends_well();

  pid_t pid() const { return target_.pid(); }
  Target& target() { return target_; }
  TestFiles& files() { return files_; }
  ~Patient();

 private:
  bool is_alive();
  testing::AssertionResult every_worker_goes_on();
  testing::AssertionResult looks_as_before();
  testing::AssertionResult looks_as_in(const ProcPicture& healthy);
  testing::AssertionResult has_not_complained();

  TestFiles files_{current_test_name()};
  std::optional<SharedPage> shared_;
  Target target_;
  std::vector<ProcPicture> healthy_;  // of all its processes
};

// The tool under test, which kills itself at its `kill_at`-th kill point. Nothing when it was not so many.
struct KilledRun {
  bool was_killed = false;
  ToolRun run;
};
Result<KilledRun> run_killed_at(int kill_at, const std::string& command, const std::string& images,
                                const Words& options);
// The same, killed by us after this time.
Result<KilledRun> run_killed_after(std::chrono::nanoseconds time, const std::string& command,
                                   const std::string& images, const Words& options);

}  // namespace cryo::live
