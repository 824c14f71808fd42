#include "frontend/cli/compatibility.h"

#include "frontend/cli/option_table.h"
#include "plan/host.h"

namespace cryo::cli {
namespace {

const char* yes_or_no(bool yes) { return yes ? "yes" : "not yet"; }

// A "|" would end the cell.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string commands_of(const OptionRow& row) {
  std::string names;
  for (const CommandRow& command : command_rows()) {
    if (command.help == nullptr || (row.commands & bit(command.command)) == 0) continue;
    names += names.empty() ? command.name : fmt::format(", {}", command.name);
  }
  return row.commands == kAllCommands ? "all" : names;
}

std::string spelling(const OptionRow& row) {
  std::string text = row.letter != 0 ? fmt::format("-{} ", row.letter) : "";
  text += fmt::format("--{}{}", row.kind == OptionKind::toggle ? "[no-]" : "", row.name);
  if (row.argument == nullptr) return text;
  return text + (row.kind == OptionKind::optional ? fmt::format("[={}]", row.argument)
                                                  : fmt::format(" {}", row.argument));
}

}  // namespace

std::string compatibility_text() {
  std::string out = "### Commands\n\n| command | works |\n|---|---|\n";
  for (const CommandRow& row : command_rows()) {
    const bool removed = row.help == nullptr;
    out += fmt::format("| `{}` | {} |\n", row.name,
                       removed ? "removed, as in CRIU" : yes_or_no(row.supported));
  }
  out += "\n### Options\n\n| option | of | works |\n|---|---|---|\n";
  for (const OptionRow& row : option_rows()) {
    if (row.help == nullptr) continue;
    out += fmt::format("| `{}` | {} | {} |\n", cell(spelling(row)), commands_of(row),
                       yes_or_no(row.supported()));
  }
  out += "\n### Names of `check --feature`\n\n| name | checked |\n|---|---|\n";
  for (const FeatureRow& row : feature_rows())
    out += fmt::format("| `{}` | {} |\n", row.name, yes_or_no(row.probe != nullptr));
  return out;
}

}  // namespace cryo::cli
