// Reads a snapshot from its images and checks what no single kind can check.
#pragma once

#include "image/store.h"
#include "model/snapshot.h"

namespace cryo {

Result<Snapshot> load_snapshot(const ImageReader& images);

}  // namespace cryo
