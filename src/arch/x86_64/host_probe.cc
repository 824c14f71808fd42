#include "arch/host_probe.h"

#include <asm/prctl.h>
#include <sys/syscall.h>

#include <cerrno>

#include "sys/raw.h"

#ifndef ARCH_MAP_VDSO_64
#define ARCH_MAP_VDSO_64 0x2003
#endif

namespace cryo::arch {

// Refused with EEXIST because this process has one already; a kernel without it answers EINVAL.
bool can_map_vdso() { return sys::raw_call(SYS_arch_prctl, ARCH_MAP_VDSO_64, 0) == -EEXIST; }

}  // namespace cryo::arch
