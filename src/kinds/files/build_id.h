// The build-id of an ELF file: what its linker derived from its contents (the note NT_GNU_BUILD_ID).
#pragma once

#include <cstdint>
#include <vector>

#include "base/fd.h"

namespace cryo {

// As the images have it: the bytes as 32-bit words, zero padded. Empty for every file that has none, is no ELF file
// or cannot be read: a build-id is only ever an additional way to recognise a file.
std::vector<uint32_t> read_build_id(FdRef file);

}  // namespace cryo
