// /proc/locks, and the lines "lock:" of /proc/PID/fdinfo/N, which look the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "procfs/fdinfo.h"

namespace cryo::procfs {

struct FileLock {
  std::string kind;      // "POSIX", "FLOCK", "OFDLCK", "LEASE", "DELEG", "ACCESS"
  bool waiting = false;  // not held, but waited for (never in fdinfo)
  std::string mode;      // "READ", "WRITE", "NONE", "UNLCK"
  int32_t pid = 0;       // who took it; -1 for OFDLCK
  uint32_t major = 0, minor = 0;
  uint64_t ino = 0;
  uint64_t start = 0;
  std::optional<uint64_t> end;  // the last byte; nothing: however far the file may grow
};

// "1: POSIX  ADVISORY  WRITE 6821 fe:00:10969363 5 14"
Result<FileLock> parse_lock(std::string_view line);
Result<std::vector<FileLock>> parse_locks(std::string_view text);
Result<std::vector<FileLock>> locks_of(const FdInfo& info);

}  // namespace cryo::procfs
