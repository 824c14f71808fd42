// What every command stands on: the directories, the log, and the privileges it has.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "plan/options.h"

namespace cryo::cli {

struct Workplace {
  Fd images;
  Fd work;
};

// Whatever is opened later must not land on the standard descriptors.
Result<void> open_missing_standard_fds();

// Opens the images directory and the work directory, and changes to the latter.
Result<Workplace> enter_workplace(const CommonOptions& options);

// The log of --log-file, relative to the current directory: the head lines come first, after what was kept.
Result<void> open_log(Log& log, const CommonOptions& options);
void log_head(Log& log);

// Whether this process may do what it is going to: root, or --unprivileged with one of two capabilities.
// The text for the user when it may not, "" when it may.
std::string missing_privilege(bool unprivileged_allowed);

// The pid in decimal without a newline, in a file that must not exist yet.
Result<void> write_pidfile(FdRef work, const std::string& path, Pid pid);

// Text on the standard output. Nothing is left to do when nobody reads it.
void print(std::string_view text);

}  // namespace cryo::cli
