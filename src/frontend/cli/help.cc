#include "frontend/cli/help.h"

#include <string_view>

#include "frontend/cli/option_table.h"

namespace cryo::cli {
namespace {

constexpr size_t kWidth = 100;
constexpr size_t kIndent = 8;

// `text` in lines of at most kWidth, each indented.
std::string wrapped(std::string_view text, size_t indent) {
  std::string out;
  while (!text.empty()) {
    size_t end = text.size();
    if (end > kWidth - indent) {
      end = text.rfind(' ', kWidth - indent);
      if (end == std::string_view::npos) end = text.size();
    }
    out += std::string(indent, ' ');
    out += text.substr(0, end);
    out += '\n';
    text.remove_prefix(end == text.size() ? end : end + 1);
  }
  return out;
}

// "-v, --verbosity[=NUM]"
std::string option_head(const OptionRow& row) {
  std::string head = "  ";
  if (row.letter != 0)
    head += fmt::format("-{}{}, ", row.letter, row.kind == OptionKind::optional ? "[NUM]" : "");
  head += fmt::format("--{}{}", row.kind == OptionKind::toggle ? "[no-]" : "", row.name);
  if (row.argument != nullptr)
    head += row.kind == OptionKind::optional ? fmt::format("[={}]", row.argument)
                                             : fmt::format(" {}", row.argument);
  return head + "\n";
}

std::string options_text() {
  std::string out;
  const OptionRow* last = nullptr;
  for (const OptionRow& row : option_rows()) {
    if (!row.supported() || row.help == nullptr) continue;
    if (last == nullptr || last->group != row.group)
      out += fmt::format("\n{}:\n", group_title(row.group));
    last = &row;
    out += option_head(row);
    out += wrapped(row.help, kIndent);
  }
  return out;
}

std::string missing_text() {
  std::string options;
  for (const OptionRow& row : option_rows())
    if (!row.supported()) options += fmt::format(" --{}", row.name);
  std::string commands;
  for (const CommandRow& row : command_rows())
    if (!row.supported && row.help != nullptr) commands += fmt::format(" {}", row.name);
  return "\nNot supported yet (each is refused by name, never ignored):\n" +
         wrapped("commands:" + commands, 2) + wrapped("options:" + options, 2);
}

constexpr const char* kFiles = R"(
Files and environment:
  /etc/criu/default.conf, $HOME/.criu/default.conf, $CRIU_CONFIG_FILE, then --config FILE
        Configuration files, read in this order; what comes later wins, the command line wins over all.
        One option per line by its long name without dashes, then its value, in double quotes if it holds
        blanks. # begins a comment. --config and --no-default-config leave out the first two.
  stats-dump, stats-restore
        Times and numbers of pages, in the work directory, in the format of the image files.

Exit status:
  0 when all went well, 1 when not. A dump that only its post-dump script made fail ends with the script's
  status. The status of a restored process is not passed on.

Examples:
  cryo dump 1234                            checkpoint process 1234 into ./checkpoint-1234
  cryo restore                              and back
  cryo dump -t 1234 -D images -R            checkpoint, and let it go on
  cryo dump -t 1234 --explain               would it work?
)";

}  // namespace

std::string version_text() {
  return fmt::format("Version: {}\nCryo: {}\n", kCompatibleVersion, CRYO_VERSION);
}

std::string usage_text() {
  std::string out = "\nUsage:\n";
  for (const CommandRow& row : command_rows())
    if (row.supported) out += fmt::format("  cryo {} {}\n", row.name, row.synopsis);
  out += "\nCommands:\n";
  for (const CommandRow& row : command_rows())
    if (row.supported) out += fmt::format("  {}\n{}", row.name, wrapped(row.help, kIndent));
  return out + "\nTry 'cryo --help' for the options.\n";
}

std::string help_text() {
  std::string out =
      "cryo: checkpoint a running process to files, and restore it from them, later or elsewhere.\n"
      "Commands, options and image files are CRIU's.\n";
  const std::string usage = usage_text();
  out += usage.substr(0, usage.rfind("\nTry"));
  out +=
      "\nShort options may be joined; long ones may be abbreviated and may follow the command.\n";
  return out + options_text() + kFiles + missing_text();
}

}  // namespace cryo::cli
