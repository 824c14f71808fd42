// From words to Settings: the command line and the configuration files, by getopt_long over the option table.
#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "frontend/cli/option_table.h"
#include "frontend/cli/settings.h"

namespace cryo::cli {

// Where configuration comes from besides the command line; tests name other files.
struct ConfigSources {
  std::string system_file = "/etc/criu/default.conf";
  std::string user_file;         // $HOME/.criu/default.conf; "" without HOME
  std::string environment_file;  // $CRIU_CONFIG_FILE; "" when unset
};
ConfigSources config_sources_of_environment();

struct GivenOption {
  const OptionRow* row;
  Given given;
  bool from_file = false;  // of a configuration file
};

// The words of one source, in the order given.
struct ParsedWords {
  std::vector<GivenOption> options;
  std::vector<std::string> rest;  // what is no option: the command and its arguments
};

// What getopt_long does with `words`, of which the first is the program's name: options may stand anywhere
// before "--", long names may be abbreviated. Ends at --help.
Result<ParsedWords> parse_words(const std::vector<std::string>& words);

// One option per line, by its long name without dashes, with or without a value; the value may be in double
// quotes with \" inside; # begins a comment.
Result<std::vector<GivenOption>> parse_config_text(std::string_view text, const std::string& name);

// The command line with everything of the configuration files before it, as one list in the order in which
// it counts. A file that cannot be read counts as empty.
Result<ParsedWords> parse_all(const std::vector<std::string>& words, const ConfigSources& sources);

// Applies the options to `settings`. The first one that is not supported, or whose value is wrong, is an error.
Result<void> apply_options(const std::vector<GivenOption>& options, Settings& settings);

// "--name" or "--no-name".
std::string spelled(const GivenOption& option);

}  // namespace cryo::cli
