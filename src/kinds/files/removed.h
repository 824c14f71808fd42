// Open files that lost their name.
//
// No name at all is left ("ghost"): the contents go into the images, and the restore makes a new file, which loses
// its name again as soon as it is open. Other names are left, but nobody knows which ("linked"): with --link-remap
// the dump gives the file a name, link_remap.N, which the restore takes away. remap-fpath.img says which is which.
#pragma once

#include "kinds/files/location.h"
#include "plan/kind.h"

namespace cryo {

// --- dump (removed.cc)
Result<void> examine_removed(const TaskView& task, const FdView& view, const Location& location);
Result<void> capture_removed(const TaskView& task, const FdView& view, const Location& location,
                             const pb::reg_file_entry& reg);

// --- restore (ghost.cc)
// The file of `reg`, opened with `flags`; none if it is an ordinary one.
Result<std::optional<Fd>> open_removed(const FileRestore& file, const pb::reg_file_entry& reg,
                                       int flags);

}  // namespace cryo
