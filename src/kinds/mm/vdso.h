#pragma once

#include "image/pagemap.h"
#include "plan/restore.h"

namespace cryo {

// Takes the image's vDSO pages out of what is to be filled in, and keeps them for vdso.cc.
Result<void> take_vdso_pages(TaskRestore& task, PageSources& pages);

}  // namespace cryo
