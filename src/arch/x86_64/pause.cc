#include "arch/pause.h"

namespace cryo {

void cpu_pause() { __builtin_ia32_pause(); }

}  // namespace cryo
