// Small helpers for text that tests read and compare.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cryo::live {

// The whole file; empty when it cannot be read.
std::string read_text(const std::string& path);
void write_text(const std::string& path, std::string_view text);
std::vector<std::string> split_lines(std::string_view text);
std::string read_link(const std::string& path);

}  // namespace cryo::live
