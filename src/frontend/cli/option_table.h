// The one table of sub-commands and the one table of options. Parsing, negation, configuration files,
// --help, refusals and the compatibility page are all driven by it. Every sub-command and option of
// CRIU 4.2 has a row; what cryo cannot do yet is a row without a setter, and is refused by name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "frontend/cli/settings.h"

namespace cryo::cli {

enum class Command : uint8_t {
  dump,
  pre_dump,
  restore,
  lazy_pages,
  check,
  page_server,
  service,
  swrk,
  dedup,
  cpuinfo,
  exec,
  show,
};

struct CommandRow {
  Command command;
  const char* name;
  bool supported;
  const char* synopsis;  // after the name
  const char* help;
};

// A set of commands.
using Commands = uint16_t;
constexpr Commands bit(Command command) {
  return static_cast<Commands>(1U << static_cast<unsigned>(command));
}
constexpr Commands kAllCommands = 0xffff;

enum class OptionKind : uint8_t {
  toggle,    // on with --name, off with --no-name
  flag,      // --name only
  value,     // --name VALUE or --name=VALUE
  optional,  // --name or --name=VALUE
};

enum class Group : uint8_t {
  generic,
  external,
  special,
  check,
  memory,
  server,
  logging,
  config,
  other
};

// One option as it was given.
struct Given {
  bool on = true;  // false for --no-name
  std::optional<std::string> value;
  const std::string& text() const { return *value; }  // of an option that always has a value
};

struct OptionRow {
  const char* name;
  char letter;  // 0: none
  OptionKind kind;
  Commands commands;  // where it has an effect
  Group group;
  const char* argument;  // "PID"; nullptr without one
  const char* help;
  Result<void> (*set)(Settings&, const Given&);  // nullptr: not supported yet

  bool supported() const { return set != nullptr; }
};

std::span<const CommandRow> command_rows();
std::span<const OptionRow> option_rows();
const CommandRow* find_command(std::string_view name);
const char* group_title(Group group);

}  // namespace cryo::cli
