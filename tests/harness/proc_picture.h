// ProcPicture: everything that /proc (and a few calls that look at another process) shows of a
// process, in a form that must be equal before a checkpoint and after it.
//
// Keys are paths below /proc/PID, with the name of the field: "task/812/status/SigBlk",
// "smaps/7f10a000-7f10c000/VmFlags", "fdinfo/3/pos". What changes by itself is left out, by name
// and with the reason, in proc_picture_tables.cc; anything else is compared, also what a newer
// kernel adds. Numbers that a restore cannot keep are replaced by their order of appearance:
// "pipe:[#2]", so that what was shared still has to be shared.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace cryo::live {

struct ProcPicture {
  pid_t pid = 0;
  std::map<std::string, std::string> entries;

  static Result<ProcPicture> of(pid_t pid);
};

struct ProcDifference {
  std::string key;
  std::string before;  // empty: was not there
  std::string after;   // empty: is not there any more
};

// Differences of other threads that repeat one of the leader's are left out, and so are keys that
// begin with one of `ignored`; "task/*/comm" matches any thread.
std::vector<ProcDifference> differences(const ProcPicture& before, const ProcPicture& after,
                                        const std::vector<std::string>& ignored = {});
std::string to_string(const std::vector<ProcDifference>& differences);

// Whether CRIU makes this difference, and not we: by name and reason in proc_picture_tables.cc.
bool is_lost_by_peer(const ProcDifference& difference);

// Whether a file of /proc/PID or /proc/PID/task/TID is known here, as compared or as left out. A
// test looks whether the kernel has new ones.
bool knows_proc_file(const std::string& name);

}  // namespace cryo::live
