// Helpers for the wrappers of this layer: the only code of the project that reads errno.
//
// A wrapper is named like its system call, takes strong types and returns Result; the message names
// the call with its arguments, so that callers add only what they were doing ("while ...").
#pragma once

#include <cerrno>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace cryo::sys {

// For calls that answer -1 and errno. `describe` is a callable that returns the text of the call and
// runs only on failure.
template <class N, class Describe>
Result<N> checked(N returned, Describe&& describe, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (returned == N(-1)) [[unlikely]] {
    const int err = errno;
    return Error::os(err, describe(), file, line);
  }
  return returned;
}

// The same for calls whose only answer is "it worked".
template <class N, class Describe>
Result<void> checked_void(N returned, Describe&& describe, const char* file = __builtin_FILE(),
                          int line = __builtin_LINE()) {
  if (returned == N(-1)) [[unlikely]] {
    const int err = errno;
    return Error::os(err, describe(), file, line);
  }
  return {};
}

template <class Describe>
Result<Fd> checked_fd(int returned, Describe&& describe, const char* file = __builtin_FILE(),
                      int line = __builtin_LINE()) {
  if (returned == -1) [[unlikely]] {
    const int err = errno;
    return Error::os(err, describe(), file, line);
  }
  return Fd(returned);
}

}  // namespace cryo::sys
