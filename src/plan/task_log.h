// --log-pid: a log of its own for each restored task, LOG.PID beside the log.
#pragma once

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "plan/options.h"

namespace cryo {

// A file for a Log. No file when the option is not given or there is no log file.
Result<Fd> open_task_log(const RestoreOptions& options, FdRef work, Pid task);

}  // namespace cryo
