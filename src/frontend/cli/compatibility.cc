#include "frontend/cli/compatibility.h"

#include "fdinfo.pb.h"
#include "frontend/cli/option_table.h"
#include "kinds/registry.h"
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

// The types of open files that CRIU's images know.
struct FileType {
  pb::fd_types type;
  const char* text;
};
constexpr FileType kFileTypes[] = {
    {pb::REG, "regular files, directories, devices without state"},
    {pb::PIPE, "pipes"},
    {pb::FIFO, "FIFOs"},
    {pb::TTY, "terminals (of the shell, with `--shell-job`; from outside, with `--external`)"},
    {pb::EVENTFD, "eventfd"},
    {pb::EVENTPOLL, "epoll"},
    {pb::MEMFD, "memfd"},
    {pb::SIGNALFD, "signalfd"},
    {pb::TIMERFD, "timerfd"},
    {pb::INOTIFY, "inotify"},
    {pb::FANOTIFY, "fanotify"},
    {pb::PIDFD, "pidfd"},
    {pb::UNIXSK, "unix sockets"},
    {pb::INETSK, "TCP and UDP sockets"},
    {pb::NETLINKSK, "netlink sockets"},
    {pb::PACKETSK, "packet sockets"},
    {pb::TUNF, "tun and tap devices"},
    {pb::NS, "namespaces"},
    {pb::BPFMAP, "BPF maps"},
    {pb::AUTOFS_PIPE, "pipes of autofs"},
};

std::string resources_text() {
  std::string out = "\n### Open files\n\n| type | works |\n|---|---|\n";
  for (const FileType& row : kFileTypes)
    out += fmt::format("| {} | {} |\n", row.text, yes_or_no(file_kind_of(row.type) != nullptr));
  out += "\n### State of a process and its threads\n\n| state | works |\n|---|---|\n";
  for (const TaskKind* kind : task_kinds()) out += fmt::format("| {} | yes |\n", kind->name);
  return out +
         "| process trees: sessions, process groups, zombies, what they share | yes |\n"
         "| processes that share memory, descriptors, directories or signal actions without being "
         "threads | not yet |\n"
         "| memory shared by copy-on-write | each process gets its own |\n"
         "| namespaces, cgroups | not yet |\n";
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
  out += resources_text();
  out += "\n### Names of `check --feature`\n\n| name | checked |\n|---|---|\n";
  for (const FeatureRow& row : feature_rows())
    out += fmt::format("| `{}` | {} |\n", row.name, yes_or_no(row.probe != nullptr));
  return out;
}

}  // namespace cryo::cli
