#include "base/fd.h"

#include <unistd.h>

namespace cryo {

// A failed close(2) has released the descriptor all the same on Linux: nothing to report or retry.
void Fd::reset() {
  if (raw_ >= 0) (void)::close(std::exchange(raw_, -1));
}

}  // namespace cryo
