#include "frontend/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "sys/file.h"

namespace cryo::cli {
namespace {

constexpr uint64_t kEveryMs = 100;
constexpr uint64_t kBarWidth = 30;

uint64_t now_ms() { return now_us() / 1000; }

}  // namespace

ProgressLine::ProgressLine(FdRef terminal, uint64_t after_ms)
    : terminal_(terminal),
      enabled_(isatty(terminal.raw()) == 1),
      after_ms_(after_ms),
      started_ms_(now_ms()) {}

ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::show(const Progress& progress) {
  if (!enabled_) return;
  const uint64_t now = now_ms();
  if (now - started_ms_ < after_ms_ || now - last_ms_ < kEveryMs) return;
  last_ms_ = now;
  drawn_ = true;
  (void)sys::write_all(terminal_, "\r" + progress_text(progress) + "\x1b[K");
}

void ProgressLine::clear() {
  if (drawn_) (void)sys::write_all(terminal_, "\r\x1b[K");
  drawn_ = false;
}

std::string progress_text(const Progress& progress) {
  if (progress.total == 0) return fmt::format("{}  {}", progress.phase, human_size(progress.done));
  const uint64_t done = std::min(progress.done, progress.total);
  // Doubles, because done * width may not fit.
  const auto full = static_cast<size_t>(static_cast<double>(kBarWidth) * static_cast<double>(done) /
                                        static_cast<double>(progress.total));
  return fmt::format("{}  [{}{}]  {} of {}", progress.phase, std::string(full, '#'),
                     std::string(kBarWidth - full, '-'), human_size(done),
                     human_size(progress.total));
}

std::string human_size(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double number = static_cast<double>(bytes);
  size_t unit = 0;
  while (number >= 1023.95 && unit + 1 < kUnits.size()) {
    number /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", number, kUnits[unit]);
}

}  // namespace cryo::cli
