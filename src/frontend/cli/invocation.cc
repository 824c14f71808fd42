#include "frontend/cli/invocation.h"

#include <fcntl.h>

#include <limits>

#include "frontend/cli/values.h"
#include "sys/file.h"

namespace cryo::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kRemovedCommand = 255;  // what CRIU ends with for them

Error excessive(const CommandRow& command, const std::string& word) {
  return Error::usage(fmt::format("excessive parameter {} for command {}", word, command.name));
}

Result<void> refuse_command(const CommandRow& command) {
  if (command.command == Command::exec)
    return Error::usage("The \"exec\" action is deprecated and not there.");
  if (command.command == Command::show)
    return Error::usage("The \"show\" action is deprecated and not there.")
        .hint("view an image with \"crit decode -i NAME --pretty\"");
  if (!command.supported)
    return Error::unsupported(fmt::format("command {} is not supported yet", command.name));
  return {};
}

// The words behind the command. The forms "dump PID" and "restore DIR" are ours; CRIU has no words there.
Result<void> take_words(Invocation& call) {
  const CommandRow& command = *call.command;
  Settings& settings = call.settings;
  if (settings.exec_cmd) {
    if (call.words.empty()) return Error::usage("--exec-cmd requires a command");
    settings.restore.exec_cmd = call.words;
    return {};
  }
  if (call.words.size() > 1) return excessive(command, call.words[1]);
  if (call.words.empty()) return {};
  const std::string& word = call.words[0];
  if (command.command == Command::dump) {
    const Result<uint64_t> pid = parse_number(word, 1, std::numeric_limits<int32_t>::max());
    if (!pid || settings.dump.tree.value != 0) return excessive(command, word);
    settings.dump.tree = Pid{static_cast<int32_t>(pid.value())};
    call.shortcut = !settings.images_dir_given;
    return {};
  }
  const bool restore_from = command.command == Command::restore && !settings.images_dir_given;
  if (!restore_from || !sys::open(word, O_PATH | O_DIRECTORY)) return excessive(command, word);
  settings.common.images_dir = word;
  settings.images_dir_given = true;
  return {};
}

struct Conflict {
  bool present;
  const char* why;
};

Result<void> check_conflicts(const Invocation& call) {
  const Settings& s = call.settings;
  const RestoreOptions& restore = s.restore;
  const bool is_restore = call.command->command == Command::restore;
  const Conflict conflicts[] = {
      {s.exec_cmd && !is_restore, "--exec-cmd is for restore only"},
      {s.exec_cmd && restore.detached, "--restore-detached and --exec-cmd cannot be used together"},
      {restore.sibling && !restore.detached,
       "--restore-sibling only makes sense with --restore-detached"},
      {!restore.inherit_fds.empty() && !is_restore, "--inherit-fd is restore-only option"},
      {call.command->command == Command::dump && s.dump.tree.value == 0, "pid not specified"},
  };
  for (const Conflict& conflict : conflicts)
    if (conflict.present) return Error::usage(conflict.why);
  for (const InheritFd& inherit : restore.inherit_fds)
    TRY_IN(sys::fcntl(FdRef(inherit.fd), F_GETFD), "checking --inherit-fd fd[{}]:{}", inherit.fd,
           inherit.key);
  return {};
}

// Errors of the form of the command line show the usage; those of values and combinations do not, as they
// say all there is.
Rejected rejected(Error error, bool show_usage, int status = kFailed) {
  return {std::move(error), show_usage, status};
}

}  // namespace

std::variant<Invocation, Rejected> understand(const ParsedWords& parsed) {
  Invocation call;
  if (parsed.rest.empty()) return rejected(Error::usage("no command given"), true);
  call.command = find_command(parsed.rest[0]);
  if (call.command == nullptr)
    return rejected(Error::usage(fmt::format("unknown command: {}", parsed.rest[0])), true);
  if (Result<void> known = refuse_command(*call.command); !known) {
    const bool removed = call.command->help == nullptr;
    return rejected(std::move(known).error(), false, removed ? kRemovedCommand : kFailed);
  }
  if (Result<void> applied = apply_options(parsed.options, call.settings); !applied)
    return rejected(std::move(applied).error(), false);
  call.words.assign(parsed.rest.begin() + 1, parsed.rest.end());
  if (Result<void> taken = take_words(call); !taken)
    return rejected(std::move(taken).error(), true);
  if (Result<void> checked = check_conflicts(call); !checked)
    return rejected(std::move(checked).error(), false);
  // Configuration files are shared by all commands; a command line is not.
  for (const GivenOption& option : parsed.options)
    if (!option.from_file && (option.row->commands & bit(call.command->command)) == 0)
      call.no_effect.push_back(spelled(option));
  return call;
}

}  // namespace cryo::cli
