// The syntax of configuration files, before anything is known about the options they name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cryo::cli {

struct ConfigLine {
  size_t number;  // from 1
  std::string name;
  std::optional<std::string> value;
};

Result<std::vector<ConfigLine>> split_config(std::string_view text);

// The file's text, "" when it cannot be read: an absent configuration is none.
std::string read_config_file(const std::string& path);

}  // namespace cryo::cli
