// A line on the terminal that says how far a long phase is. Never seen in a pipe or a file.
#pragma once

#include <cstdint>
#include <string>

#include "plan/job.h"

namespace cryo::cli {

class ProgressLine {
 public:
  // Draws only if `terminal` is one, and not before a phase has taken that long.
  explicit ProgressLine(FdRef terminal, uint64_t after_ms = 300);
  ~ProgressLine();  // takes the line away
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const Progress& progress);
  void clear();

 private:
  FdRef terminal_;
  bool enabled_;
  uint64_t after_ms_;
  bool drawn_ = false;
  uint64_t started_ms_;
  uint64_t last_ms_ = 0;
};

// "memory  [#####-----]  512 MiB of 1.0 GiB"
std::string progress_text(const Progress& progress);
// "1.4 GiB"
std::string human_size(uint64_t bytes);

}  // namespace cryo::cli
