#include <algorithm>

#include "puppet/injection.h"
#include "sys/file.h"

namespace cryo {
namespace {

constexpr uint64_t kTail = 4096;  // as much of a mapping's end as is looked at
// Zeros that may still belong to the last instruction or to a constant.
constexpr uint64_t kDistance = 64;

// Where the zero bytes at the end of a mapping start, with some distance; its end if there are none.
Result<uint64_t> start_of_tail(const AddressRange& range, FdRef mem) {
  std::array<std::byte, kTail> tail;
  TRY(sys::pread_all(mem, tail.data(), tail.size(), range.end - kTail));
  size_t used = tail.size();
  while (used > 0 && tail[used - 1] == std::byte{0}) --used;
  return std::min(range.end, (range.end - kTail + used + kDistance + 15) & ~uint64_t{15});
}

}  // namespace

Result<InjectionSite> InjectionSite::find_in_files(std::span<const AddressRange> mapped,
                                                   std::span<const AddressRange> executable,
                                                   FdRef mem, uint64_t area_size) {
  InjectionSite site{};
  for (const AddressRange& range : executable) {
    const Result<uint64_t> start = start_of_tail(range, mem);
    if (!start) continue;  // behind the end of its file
    const uint64_t count = (range.end - start.value()) / arch::thunk_size();
    if (count <= site.thunk_count) continue;
    site.thunks = start.value();
    site.thunk_count = count;
  }
  if (site.thunk_count == 0)
    return Error::unsupported("the task has no vDSO, and no code with zero bytes behind it")
        .hint("it has unmapped the vDSO, or was started with vdso=0");
  site.hole = find_hole(mapped, area_size);
  if (site.hole == 0)
    return Error::unsupported("the task's address space has no room left for the shared area");
  return site;
}

}  // namespace cryo
