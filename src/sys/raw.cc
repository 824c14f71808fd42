#include "sys/raw.h"

#include <unistd.h>

#include <cerrno>

namespace cryo::sys {

int64_t raw_call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                 uint64_t f) {
  const long answer = ::syscall(number, a, b, c, d, e, f);
  return answer == -1 ? -errno : answer;
}

}  // namespace cryo::sys
