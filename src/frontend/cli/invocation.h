// Invocation: one command line, understood: the command, its settings, and what its words said.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "frontend/cli/parse.h"

namespace cryo::cli {

struct Invocation {
  const CommandRow* command = nullptr;
  Settings settings;
  std::vector<std::string> words;      // what follows the command
  std::vector<std::string> no_effect;  // options given that do nothing with this command
  bool shortcut = false;               // "dump PID", "restore DIR": the directory is our choice
};

// Whether the command line was wrong in its form: then the usage is shown.
struct Rejected {
  Error error;
  bool show_usage;
  int status;
};

// Reads the command and its words from `parsed`, applies the options, and checks what excludes each other.
std::variant<Invocation, Rejected> understand(const ParsedWords& parsed);

}  // namespace cryo::cli
