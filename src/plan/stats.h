// stats-dump and stats-restore: what an operation reports, as an image in the work directory and as text.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "plan/report.h"

namespace cryo {

// Replaces the file of an earlier operation.
Result<void> write_stats(FdRef work, const DumpReport& report);
Result<void> write_stats(FdRef work, const RestoreReport& report);

// What --display-stats prints.
std::string stats_text(const DumpReport& report);
std::string stats_text(const RestoreReport& report);

}  // namespace cryo
