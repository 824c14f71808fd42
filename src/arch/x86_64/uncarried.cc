// x86_64. All of the extended state is in NT_X86_XSTATE.
#include "arch/uncarried.h"

namespace cryo::arch {

std::span<const UncarriedState> uncarried_states() { return {}; }

}  // namespace cryo::arch
