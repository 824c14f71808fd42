#include "arch/pause.h"

namespace cryo {

void cpu_pause() { __asm__ volatile("yield" ::: "memory"); }

}  // namespace cryo
