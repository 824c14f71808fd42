// The part of docs/compatibility.md that the tables know: a test compares the page with it.
#pragma once

#include <string>

namespace cryo::cli {

// Markdown: the commands, options and kernel features, each with whether it is there.
std::string compatibility_text();

}  // namespace cryo::cli
