// The restore of a process tree.
#pragma once

#include <string>

#include "plan/job.h"
#include "plan/options.h"
#include "plan/report.h"

namespace cryo {

// Makes the tree of job.images again and lets it run. On an error nothing of it stays. The root task is
// our child, or our sibling with options.sibling; waiting for it is the caller's part.
Result<RestoreReport> restore(const RestoreOptions& options, Job& job);

// The plan of the restore as text, without touching anything.
Result<std::string> explain_restore(const RestoreOptions& options, Job& job);

}  // namespace cryo
