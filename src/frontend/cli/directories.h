// The directories that cryo chooses itself for "cryo dump PID" and "cryo restore".
#pragma once

#include <string>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"

namespace cryo::cli {

// Makes checkpoint-PID in `place`, or checkpoint-PID-2 and so on where that exists, and answers its name.
Result<std::string> make_checkpoint_directory(FdRef place, Pid pid);

// "." if `place` itself holds a checkpoint, else the checkpoint-* in it whose dump was the last one. "."
// without any: the error is then the one for a directory without images.
Result<std::string> find_checkpoint_directory(FdRef place);

}  // namespace cryo::cli
