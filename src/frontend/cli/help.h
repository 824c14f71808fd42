// What is printed about the program itself.
#pragma once

#include <string>

namespace cryo::cli {

// The version of CRIU whose options, images and messages these are. Callers read it to know what they may use.
constexpr const char* kCompatibleVersion = "4.2";

std::string version_text();
// The commands: what follows a wrong command line.
std::string usage_text();
// Everything.
std::string help_text();

}  // namespace cryo::cli
