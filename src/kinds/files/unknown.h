// Names for the open files that no kind handles.
#pragma once

#include <string>

#include "plan/fd_view.h"

namespace cryo {

struct Unknown {
  std::string what;    // "an inotify instance"
  std::string remedy;  // "" when there is none
};

Unknown describe_unknown(const FdView& view);

}  // namespace cryo
