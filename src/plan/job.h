// Job: what one operation works with besides its options. A frontend makes it, the engine uses it, and
// nothing in it is global, so several operations fit into one process.
#pragma once

#include <cstdint>
#include <functional>

#include "base/fd.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "plan/actions.h"

namespace cryo {

// One step of a long phase. `total` is 0 as long as it is not known.
struct Progress {
  const char* phase = "";  // "memory"
  uint64_t done = 0;       // bytes
  uint64_t total = 0;
};

struct Job {
  Log& log;
  FdRef images;  // the image directory
  FdRef work;    // the work directory: stats and every relative path of the options

  // Called by the engine at each Action. `root` is the host pid of the root task, 0 when there is none yet.
  // An error fails the operation as the Action says; for those that are only logged it is never returned.
  std::function<Result<void>(Action, Pid root)> notify = [](Action, Pid) { return Result<void>(); };
  // Restore: called once when everything is restored and nothing runs yet. The
  // pid file is written here; an error ends the restore and its tasks.
  std::function<Result<void>(Pid root)> root_created = [](Pid) { return Result<void>(); };
  // Called now and then during memory phases, from the coordinator's thread; cheap.
  std::function<void(const Progress&)> progress = [](const Progress&) {};
};

}  // namespace cryo
