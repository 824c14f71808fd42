// The command line program.
#pragma once

#include <string>
#include <vector>

namespace cryo::cli {

// `words` as main() gets them. Answers the exit status.
int run(const std::vector<std::string>& words);

}  // namespace cryo::cli
