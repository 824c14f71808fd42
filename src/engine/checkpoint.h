// The dump of a process tree.
#pragma once

#include <vector>

#include "plan/job.h"
#include "plan/options.h"
#include "plan/report.h"

namespace cryo {

// Writes the tree to job.images and then kills it, lets it go on or leaves it stopped, as asked. On an
// error the tree goes on as before and the directory holds no checkpoint.
Result<DumpReport> checkpoint(const DumpOptions& options, Job& job);

// Everything that would make checkpoint() refuse, found without touching the tasks. Empty: it would work.
Result<std::vector<Blocker>> explain_checkpoint(const DumpOptions& options, Job& job);

}  // namespace cryo
