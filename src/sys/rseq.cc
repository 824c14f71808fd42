#include "sys/rseq.h"

#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/call.h"

namespace cryo::sys {

Result<void> unregister_own_rseq() {
  if (__rseq_size == 0) return {};  // the C library has not registered
  char* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  constexpr int kUnregister = 1;
  // The size it was registered with is 32, whatever part of it is in use (glibc 2.36).
  return checked_void(::syscall(SYS_rseq, area, 32, kUnregister, RSEQ_SIG),
                      [] { return std::string("rseq(unregister)"); });
}

}  // namespace cryo::sys
