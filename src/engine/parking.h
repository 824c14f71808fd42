// Where a restore can put what is its own while the processes are made: the shared area, and the kernel's mappings that
// every process takes along from the coordinator.
#pragma once

#include <vector>

#include "plan/restore.h"
#include "puppet/injection.h"

namespace cryo {

// What the coordinator has mapped, and what any process of the image will have: sorted, merged.
Result<std::vector<AddressRange>> taken_ranges(const Snapshot& snapshot);

// Parking places for the special mappings that a new process takes along, away from all of `taken`.
Result<std::vector<SpecialMapping>> plan_parking(const std::vector<AddressRange>& taken);

}  // namespace cryo
