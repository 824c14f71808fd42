// --inherit-fd: descriptors of the caller that stand for files of the images.
#pragma once

#include "plan/restore.h"

namespace cryo {

// A duplicate of the descriptor that was given for `key`; none if there is none.
Result<std::optional<Fd>> inherited(const Restore& restore, std::string_view key);

}  // namespace cryo
