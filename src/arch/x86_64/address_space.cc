#include "arch/address_space.h"

namespace cryo::arch {

// Also with five levels of page tables. The last page is left out: a system call instruction at its end would return
// to an address that is none.
uint64_t user_space_end() { return 0x7ffffffff000; }

}  // namespace cryo::arch
