#include "sys/pagemap.h"

#include <sys/ioctl.h>

#include <algorithm>

#include "sys/call.h"

namespace cryo::sys {
namespace {
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PmScanArg);
}

Result<size_t> pagemap_scan(FdRef pagemap, PmScanArg& arg) {
  const int n = TRY(checked(::ioctl(pagemap.raw(), kPagemapScan, &arg), [&] {
    return fmt::format("ioctl({}, PAGEMAP_SCAN, {:#x}-{:#x}, flags {:#x})", pagemap.raw(),
                       arg.start, arg.end, arg.flags);
  }));
  return static_cast<size_t>(n);
}

PageScan::PageScan(FdRef pagemap, uint64_t start, uint64_t end, const PageFilter& filter)
    : pagemap_(pagemap), done_(start >= end) {
  arg_.flags = filter.flags;
  arg_.start = start;
  arg_.end = end;
  arg_.category_inverted = filter.inverted;
  arg_.category_mask = filter.all_of;
  arg_.category_anyof_mask = filter.any_of;
  arg_.return_mask = filter.report;
}

Result<std::span<const PageRegion>> PageScan::next(std::span<PageRegion> room) {
  CHECK(!room.empty());
  if (done_) return std::span<const PageRegion>();
  arg_.vec = reinterpret_cast<uint64_t>(room.data());
  arg_.vec_len = room.size();
  const size_t n = TRY(pagemap_scan(pagemap_, arg_));
  if (n < room.size()) {
    done_ = true;
  } else {
    arg_.start = std::max(arg_.walk_end, room.back().end);
    done_ = arg_.start >= arg_.end;
  }
  return std::span<const PageRegion>(room.data(), n);
}

}  // namespace cryo::sys
