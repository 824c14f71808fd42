// Parts of the kind "regular" that other kinds use for files with a path.
#pragma once

#include "plan/kind.h"

namespace cryo {

// Fills an entry with how the file is found again and recognised. Not the owner.
Result<void> record_path(const TaskView& task, const FdView& view, FileId id,
                         pb::reg_file_entry& reg);

// Checks that `fd` is the file that `reg` describes, as far as the options ask for it.
Result<void> validate_file(const Restore& restore, FdRef fd, const struct stat& st,
                           const pb::reg_file_entry& reg);

// Opens `name` (absolute, as in the images) below the root of the restore; never waits for anybody.
Result<Fd> open_below_root(const Restore& restore, const std::string& name, int flags);

}  // namespace cryo
