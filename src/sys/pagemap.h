// PAGEMAP_SCAN (6.7): which pages of an address range are what, as runs. The categories and flags
// are PAGE_IS_* and PM_SCAN_* of sys/uapi.h.
//
// 6.18: `walk_end` may be too low: after a complete walk it is that of the last time that the kernel
// flushed its own buffer of 512 runs. PageScan::next therefore takes the walk as complete when fewer
// runs came back than there is room for, and else goes on behind the last run, or at walk_end if that
// is further.
#pragma once

#include <cstdint>
#include <span>

#include "base/fd.h"
#include "base/result.h"
#include "sys/uapi.h"

namespace cryo::sys {

struct PageFilter {
  uint64_t inverted = 0;  // categories whose absence is asked for
  uint64_t all_of = 0;
  uint64_t any_of = 0;
  uint64_t report = 0;  // categories that runs are told apart by
  uint64_t flags = 0;   // PM_SCAN_WP_MATCHING, PM_SCAN_CHECK_WPASYNC
};

// One ioctl. Returns the number of runs; fills arg.walk_end.
Result<size_t> pagemap_scan(FdRef pagemap, PmScanArg& arg);

// Walks [start, end) with a caller's buffer, as many calls as it takes.
class PageScan {
 public:
  PageScan(FdRef pagemap, uint64_t start, uint64_t end, const PageFilter& filter);
  // The next runs, in `room`; an empty span at the end.
  Result<std::span<const PageRegion>> next(std::span<PageRegion> room);

 private:
  FdRef pagemap_;
  PmScanArg arg_;
  bool done_;
};

}  // namespace cryo::sys
