#pragma once

#include "base/fd.h"
#include "sys/pagemap.h"

namespace cryo {

// Private pages with contents: neither untouched, nor the shared zero page, nor unchanged ones of a file, nor guard
// regions, which the kernel counts as swapped out.
sys::PageFilter touched_pages(FdRef pagemap);

}  // namespace cryo
