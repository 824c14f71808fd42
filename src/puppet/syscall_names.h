// Names of system calls, for messages and printed plans.
#pragma once

#include <string>

namespace cryo {

std::string syscall_name(long nr);  // "mmap"; "syscall 999" if not known

}  // namespace cryo
