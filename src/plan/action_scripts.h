// ActionScripts: the programs of --action-script. At each Action all of them run, the last one given
// first, in the work directory, with their output in the log and these variables:
//   CRTOOLS_SCRIPT_ACTION  the action's name
//   CRTOOLS_IMAGE_DIR      /proc/PID/fd/N of the image directory
//   CRTOOLS_INIT_PID       the host pid of the root task, once there is one
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "plan/actions.h"

namespace cryo {

class ActionScripts {
 public:
  // `images` and `work` have to stay open, and `log` alive, as long as this does.
  ActionScripts(std::vector<std::string> scripts, FdRef images, FdRef work, Log& log);

  // Runs them all, also after one has failed. Where failures of the action count, any is an error;
  // otherwise they are warnings.
  Result<void> run(Action action, Pid root);

  // The exit statuses of the action that failed, or-ed: what CRIU ends with when post-dump fails. 0: none failed.
  int failed_status() const { return failed_status_; }

 private:
  Result<int> run_one(const std::string& script, const std::vector<std::string>& environment);
  std::vector<std::string> environment_for(Action action, Pid root) const;

  std::vector<std::string> scripts_;
  FdRef images_;
  FdRef work_;
  Log& log_;
  int failed_status_ = 0;
};

}  // namespace cryo
