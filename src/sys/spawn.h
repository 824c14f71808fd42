// Running other programs.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"

namespace cryo::sys {

struct Program {
  std::vector<std::string>
      words;  // the file (found in PATH when it has no slash) and its arguments
  std::vector<std::string> environment;  // NAME=VALUE, all of it
  FdRef output;                          // its standard output and error; its input is /dev/null
  FdRef directory;                       // where it runs
};

// Starts it as a child, with no signal blocked. A file that cannot be executed is an error.
Result<Pid> spawn(const Program& program);

// Replaces this process by the program; with this process's environment, descriptors and directory.
Error exec(const std::vector<std::string>& words);

// This process's environment.
std::vector<std::string> environment();

}  // namespace cryo::sys
