#include "arch/thread_switches.h"

namespace cryo::arch {

ThreadSwitch cpuid_switch() { return {-1, 0, 0}; }

}  // namespace cryo::arch
