// PAGEMAP_SCAN (6.7): which pages of an address range are what, as runs. The categories and flags
// are PAGE_IS_* and PM_SCAN_* of sys/uapi.h.
//
// 6.18: after a complete walk `walk_end` is stale if the kernel's own buffer of 512 runs was
// flushed before. The walk is complete when fewer runs than there is room for came back (and no
// page limit was set); only otherwise it tells where to go on. PageScan::next applies that rule.
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
