// The harness's side of one live test: starts the victim, does what the variant says at each of its
// checkpoints, and collects how it ended.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/proc_picture.h"
#include "tests/harness/process.h"
#include "tests/harness/shared_page.h"
#include "tests/harness/variant.h"

namespace cryo::live {

class LiveRun {
 public:
  LiveRun(std::string full_name, const Variant& variant, const Traits& traits);
  ~LiveRun();
  LiveRun(const LiveRun&) = delete;
  LiveRun& operator=(const LiveRun&) = delete;

  // Outcome::failed comes with an Error only when the machinery or a tool failed.
  Result<Outcome> run();
  std::string victim_output() const;
  // What /proc showed differently after a checkpoint; empty when nothing.
  const std::string& proc_differences() const { return proc_differences_; }
  // Moves everything to build/failed/NAME and returns that path.
  std::string keep_files();

 private:
  Result<void> start();
  Result<bool> next_checkpoint();  // false: the victim has ended
  Result<std::optional<ProcPicture>> picture() const;
  void compare(const ProcPicture& before, const ProcPicture& after);
  Result<void> perform(const Step& step);
  Result<void> dump_and_kill(const Step& step, const std::string& images);
  Result<void> dump_and_leave(const Step& step, const std::string& images);
  Result<void> expect_dump_refused(const std::string& images);
  Result<void> expect_restore_refused(const std::string& images);
  Result<void> bury_victim();
  Result<void> restore_victim(const Step& step, const std::string& images);
  Result<void> check_undisturbed() const;
  Result<Outcome> last_words();
  std::string new_images();

  const std::string full_name_;
  const Variant& variant_;
  const Traits& traits_;
  const std::string directory_;
  const Deadline deadline_;
  std::vector<SharedPage> shared_;  // empty before start()
  Process victim_;
  pid_t pid_ = -1;
  int images_made_ = 0;
  bool refused_ = false;
  std::string proc_differences_;
};

// The one command that runs a test again.
std::string repeat_command(const std::string& full_name);

}  // namespace cryo::live
