#include "arch/address_space.h"

#include <sys/auxv.h>

#include <bit>

namespace cryo::arch {

// Between 36 and 48 bits, as the kernel was built; addresses above (LVA) are only given to who asks for them. The name
// of the program lies at the top of the stack, which is the top of all.
uint64_t user_space_end() { return std::bit_ceil(uint64_t{getauxval(AT_EXECFN)}); }

}  // namespace cryo::arch
