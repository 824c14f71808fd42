// The harness's side of one live test: starts the victim, does what the variant says at each of its
// checkpoints, and collects how it ended.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/proc_picture.h"
#include "tests/harness/shared_page.h"
#include "tests/harness/target.h"
#include "tests/harness/test_files.h"
#include "tests/harness/variant.h"

namespace cryo::live {

class LiveRun {
 public:
  LiveRun(std::string test_name, const Variant& variant, const Traits& traits);

  // Outcome::failed comes with an Error only when the machinery or a tool failed.
  Result<Outcome> run();
  std::string victim_output() const;
  // What /proc showed differently after a checkpoint; empty when nothing.
  const std::string& proc_differences() const { return proc_differences_; }
  TestFiles& files() { return files_; }

 private:
  Result<void> start();
  Result<bool> next_checkpoint();  // false: the victim has ended
  // Of the victim and everybody below it, by pid.
  using Pictures = std::map<pid_t, ProcPicture>;
  Result<Pictures> pictures() const;
  void compare(const Pictures& before, const Pictures& after);
  Result<void> perform(const Step& step);
  Result<void> restore(const Step& step, const std::string& images);
  Result<void> expect_dump_refused(const std::string& images);
  Result<void> expect_restore_refused(const std::string& images);
  void act_between(const std::string& images) const;
  Result<Outcome> last_words();

  const std::string test_name_;
  const Variant& variant_;
  const Traits& traits_;
  TestFiles files_;
  const Deadline deadline_;
  std::optional<SharedPage> shared_;  // after start()
  Target target_;
  bool refused_ = false;
  std::string proc_differences_;
};

}  // namespace cryo::live
