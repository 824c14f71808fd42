// /proc/PID/mountinfo. Paths have blanks, tabs, newlines, backslashes and # as octal escapes, which
// are undone here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cryo::procfs {

struct Mount {
  int32_t id = 0;
  int32_t parent = 0;
  dev_t device = 0;
  std::string root;        // of the mount within its file system
  std::string mountpoint;  // relative to the reader's root
  std::string options;     // of the mount: "rw,relatime"
  int32_t shared = 0;      // peer group, 0 for none
  int32_t master = 0;      // peer group it is a slave of
  int32_t propagate_from = 0;
  bool unbindable = false;
  std::string type;
  std::string source;
  std::string super_options;
};

Result<std::vector<Mount>> parse_mountinfo(std::string_view text);

}  // namespace cryo::procfs
