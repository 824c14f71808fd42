#include "arch/host_probe.h"

namespace cryo::arch {

// The kernel maps the vdso at exec only; it is moved with mremap.
bool can_map_vdso() { return false; }

}  // namespace cryo::arch
