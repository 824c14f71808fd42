// A directory of images as one input of a fuzzer. Magics are left out (guessing them is no test), and names are
// stored, so that a bundle outlives changes of ImageKind.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "image/magic.h"

namespace cryo::fuzz {

struct BundledImage {
  ImageName name;
  std::string contents;  // behind the magics
};
using ImageBundle = std::vector<BundledImage>;

// Takes any bytes: what is cut off ends early, files without an image's name are left out.
ImageBundle parse_bundle(std::string_view bytes);
std::string format_bundle(const ImageBundle& bundle);

// Files that are larger than `limit` (pages) are left out.
Result<ImageBundle> bundle_directory(FdRef dir, size_t limit);
// Raw files get zeros behind their contents, up to `raw_size`.
Result<void> write_bundle(const ImageBundle& bundle, FdRef dir, uint64_t raw_size);
Result<void> remove_images(FdRef dir);

}  // namespace cryo::fuzz
