#include <string>
#include <vector>

#include "frontend/cli/run.h"

int main(int argc, char** argv) {
  return cryo::cli::run(std::vector<std::string>(argv, argv + argc));
}
