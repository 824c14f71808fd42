// Settings: everything a command line and the configuration files can say, before one command takes its part.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/options.h"

namespace cryo::cli {

struct CheckOptions {
  bool extra = false;                 // --extra, --all
  bool experimental = false;          // --experimental, --all
  std::vector<std::string> features;  // --feature, each
};

struct Settings {
  CommonOptions common;
  DumpOptions dump;        // its common part is filled in by dump_options()
  RestoreOptions restore;  // and by restore_options()
  CheckOptions check;

  bool images_dir_given = false;
  bool exec_cmd = false;              // --exec-cmd; the words come after the options
  std::vector<int> close_fds;         // --close
  std::optional<std::string> config;  // --config
  bool no_default_config = false;     // --no-default-config
  bool help = false;
  bool version = false;
};

DumpOptions dump_options(const Settings& settings);
RestoreOptions restore_options(const Settings& settings);

}  // namespace cryo::cli
