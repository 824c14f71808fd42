// Which name leads to an open file. The link under /proc/PID says how the file was found; since then it may have been
// renamed (the link follows), removed (the link then ends in " (deleted)", as does one of a file that is called so),
// replaced by another file of the same name, or covered by a mount.
#pragma once

#include <string>

#include "plan/fd_view.h"

namespace cryo {

struct Location {
  enum class Kind : uint8_t {
    named,     // `name` leads to it
    removed,   // no name leads to it any more
    unlinked,  // it has other names than `name`, which was removed
    hidden,    // `name` leads elsewhere
  };
  Kind kind = Kind::named;
  std::string name;  // absolute, without " (deleted)"
};

Result<Location> locate(const FdView& view);

}  // namespace cryo
