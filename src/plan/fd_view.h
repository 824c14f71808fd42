// FdView: how an open file looks from outside: what its link under /proc/PID says, stat, and fdinfo. Also for the
// links that are not descriptors: exe, cwd, root, map_files/A-B.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"

namespace cryo {

struct FdView {
  FdRef proc{-1};          // /proc/PID
  std::string path;        // below it: "fd/7", "exe"
  std::optional<FdNo> fd;  // none for the other links
  std::string
      link;  // where it points: "/var/log/x (deleted)", "pipe:[123]", "anon_inode:[eventfd]"
  struct stat st {};  // of the file itself
  std::string info;   // text of fdinfo; empty for the other links
  uint32_t flags =
      0;  // O_* as in fdinfo, O_CLOEXEC taken out; for mappings: the access mode they need
  bool cloexec = false;
  uint64_t pos = 0;
  int mnt_id = -1;

  static Result<FdView> of_fd(FdRef proc, FdNo fd);
  // `flags` are the O_* to open it with again.
  static Result<FdView> of_link(FdRef proc, std::string path, uint32_t flags);

  // The value of a line "key:\tvalue" of fdinfo.
  std::optional<std::string_view> field(std::string_view key) const;
  // "eventfd" of "anon_inode:[eventfd]"; empty for everything else.
  std::string_view anon_name() const;
  // A new descriptor for the file (not for the description), with O_* of our own.
  Result<Fd> reopen(int open_flags) const;
  // A duplicate of the descriptor, sharing its description. Precondition: fd.
  Result<Fd> steal(FdRef pidfd) const;
};

}  // namespace cryo
