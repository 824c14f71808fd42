#include "plan/stats.h"

#include <fcntl.h>

#include <algorithm>
#include <limits>

#include "image/magic.h"
#include "stats.pb.h"
#include "sys/file.h"

namespace cryo {
namespace {

uint32_t microseconds(uint64_t us) {
  return static_cast<uint32_t>(std::min<uint64_t>(us, std::numeric_limits<uint32_t>::max()));
}

void append_word(std::string& out, uint32_t word) {
  out.append(reinterpret_cast<const char*>(&word), sizeof word);
}

Result<void> write_entry(FdRef work, ImageKind kind, const pb::stats_entry& entry) {
  const std::string payload = entry.SerializeAsString();
  std::string bytes;
  append_word(bytes, kMagicService);
  append_word(bytes, format_of(kind).magic);
  append_word(bytes, static_cast<uint32_t>(payload.size()));
  bytes += payload;
  Fd file = TRY(sys::openat(work, format_of(kind).pattern, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  return sys::write_all(file, bytes);
}

}  // namespace

Result<void> write_stats(FdRef work, const DumpReport& report) {
  pb::stats_entry entry;
  pb::dump_stats_entry& dump = *entry.mutable_dump();
  dump.set_freezing_time(microseconds(report.freezing_us));
  dump.set_frozen_time(microseconds(report.frozen_us));
  dump.set_memdump_time(microseconds(report.memdump_us));
  dump.set_memwrite_time(microseconds(report.memwrite_us));
  dump.set_pages_scanned(report.pages_scanned);
  dump.set_pages_skipped_parent(report.pages_skipped_parent);
  dump.set_pages_written(report.pages_written);
  dump.set_irmap_resolve(0);
  dump.set_pages_lazy(report.pages_lazy);
  dump.set_page_pipes(0);
  dump.set_page_pipe_bufs(0);
  dump.set_shpages_scanned(report.shpages_scanned);
  dump.set_shpages_skipped_parent(report.shpages_skipped_parent);
  dump.set_shpages_written(report.shpages_written);
  return write_entry(work, ImageKind::stats_dump, entry);
}

Result<void> write_stats(FdRef work, const RestoreReport& report) {
  pb::stats_entry entry;
  pb::restore_stats_entry& restore = *entry.mutable_restore();
  restore.set_pages_compared(report.pages_compared);
  restore.set_pages_skipped_cow(report.pages_skipped_cow);
  restore.set_pages_restored(report.pages_restored);
  restore.set_forking_time(microseconds(report.forking_us));
  restore.set_restore_time(microseconds(report.restore_us));
  return write_entry(work, ImageKind::stats_restore, entry);
}

std::string stats_text(const DumpReport& report) {
  return fmt::format(
      "Displaying dump stats:\n"
      "Freezing time: {} us\n"
      "Frozen time: {} us\n"
      "Memory dump time: {} us\n"
      "Memory write time: {} us\n"
      "IRMAP resolve time: 0 us\n"
      "Memory pages scanned: {} (0x{:x})\n"
      "Memory pages skipped from parent: {} (0x{:x})\n"
      "Memory pages written: {} (0x{:x})\n"
      "Lazy memory pages: {} (0x{:x})\n",
      report.freezing_us, report.frozen_us, report.memdump_us, report.memwrite_us,
      report.pages_scanned, report.pages_scanned, report.pages_skipped_parent,
      report.pages_skipped_parent, report.pages_written, report.pages_written, report.pages_lazy,
      report.pages_lazy);
}

std::string stats_text(const RestoreReport& report) {
  return fmt::format(
      "Displaying restore stats:\n"
      "Pages compared: {} (0x{:x})\n"
      "Pages skipped COW: {} (0x{:x})\n"
      "Pages restored: {} (0x{:x})\n"
      "Restore time: {} us\n"
      "Forking time: {} us\n",
      report.pages_compared, report.pages_compared, report.pages_skipped_cow,
      report.pages_skipped_cow, report.pages_restored, report.pages_restored, report.restore_us,
      report.forking_us);
}

}  // namespace cryo
