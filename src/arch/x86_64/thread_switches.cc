#include "arch/thread_switches.h"

#include <asm/prctl.h>
#include <sys/syscall.h>

namespace cryo::arch {

ThreadSwitch cpuid_switch() { return {SYS_arch_prctl, ARCH_GET_CPUID, ARCH_SET_CPUID}; }

}  // namespace cryo::arch
