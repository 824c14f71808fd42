// What an operation tells its caller afterwards. The first part of each is what the stats-* images hold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"

namespace cryo {

struct DumpReport {
  uint64_t freezing_us = 0;  // from the first freeze to the last task frozen
  uint64_t frozen_us = 0;    // from the first task frozen until they go on or die
  uint64_t memdump_us = 0;   // taking memory out of the tasks
  uint64_t memwrite_us = 0;  // writing it to the images, as far as that is apart
  uint64_t pages_scanned = 0;
  uint64_t pages_skipped_parent = 0;
  uint64_t pages_written = 0;
  uint64_t pages_lazy = 0;
  uint64_t shpages_scanned = 0;  // of shared memory
  uint64_t shpages_skipped_parent = 0;
  uint64_t shpages_written = 0;

  Pid root{};
  uint32_t tasks = 0;
  uint32_t threads = 0;
  uint64_t total_us = 0;
  uint64_t image_bytes = 0;
};

struct RestoreReport {
  uint64_t pages_compared = 0;     // with those of the parent task
  uint64_t pages_skipped_cow = 0;  // inherited from it
  uint64_t pages_restored = 0;
  uint64_t forking_us = 0;  // making the tasks
  uint64_t restore_us = 0;  // everything

  Pid root{};  // as the host sees it
  uint32_t tasks = 0;
  uint32_t threads = 0;
};

// One thing that stands in the way of a dump.
struct Blocker {
  Pid pid{};
  std::string where;   // "fd 7", "mapping 7f00..7f10", "thread 12"; "" for the task as a whole
  std::string what;    // "a TCP connection to 10.0.0.1:80"
  std::string remedy;  // "close it first"; "" when there is none
};

}  // namespace cryo
