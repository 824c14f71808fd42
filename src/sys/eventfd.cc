#include "sys/eventfd.h"

#include <sys/eventfd.h>

#include "sys/call.h"

namespace cryo::sys {

Result<Fd> eventfd(unsigned initial, int flags) {
  return checked_fd(::eventfd(initial, flags | EFD_CLOEXEC),
                    [&] { return fmt::format("eventfd({}, {:#x})", initial, flags); });
}

}  // namespace cryo::sys
