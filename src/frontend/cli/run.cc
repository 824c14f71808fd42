#include "frontend/cli/run.h"

#include <fcntl.h>

#include <variant>

#include "frontend/cli/commands.h"
#include "frontend/cli/directories.h"
#include "frontend/cli/help.h"
#include "sys/file.h"

namespace cryo::cli {
namespace {

int reject(Log& log, const Rejected& rejected) {
  log.error(rejected.error);
  log.flush_early();
  if (rejected.show_usage) print(usage_text());
  return rejected.status;
}

// --help and --version count wherever they stand among correct options; help first.

std::string information_text(const ParsedWords& parsed) {
  Settings settings;
  for (const GivenOption& option : parsed.options) {
    if (option.row->letter == 'h') settings.help = true;
    if (option.row->letter == 'V') settings.version = true;
  }
  if (settings.help) return help_text();
  return settings.version ? version_text() : "";
}

Result<void> choose_directory(Invocation& call) {
  Settings& settings = call.settings;
  if (settings.common.explain) return {};
  if (call.shortcut) {
    settings.common.images_dir = TRY_IN(make_checkpoint_directory(sys::cwd(), settings.dump.tree),
                                        "making a directory for the images");
  } else if (call.command->command == Command::restore && !settings.images_dir_given) {
    settings.common.images_dir = TRY(find_checkpoint_directory(sys::cwd()));
  }
  return {};
}

int run_command(Session& session) {
  switch (session.call.command->command) {
    case Command::dump:
      return dump_command(session);
    case Command::restore:
      return restore_command(session);
    default:
      return check_command(session);
  }
}

// Asking about a process takes no more than reading about it does.
bool only_asks(const Invocation& call) {
  return call.settings.common.explain ||
         (call.command->command == Command::check && call.settings.dump.tree.value != 0);
}

int run_invocation(Invocation& call, Log& log) {
  CommonOptions& options = call.settings.common;
  log.set_level(options.verbosity);
  for (const int fd : call.settings.close_fds) Fd(fd).reset();
  if (!only_asks(call)) {
    const std::string missing = missing_privilege(options.unprivileged);
    if (!missing.empty()) {
      print(missing);
      return kFailure;
    }
  }
  if (Result<void> chosen = choose_directory(call); !chosen) {
    log.error(chosen.error());
    return kFailure;
  }
  for (const std::string& option : call.no_effect)
    log.warn("option {} has no effect with {}", option, call.command->name);
  const Result<Fd> start = sys::open(".", O_PATH | O_DIRECTORY);
  Result<Workplace> place = enter_workplace(options);
  if (!place) {
    log.error(place.error());
    return kFailure;
  }
  if (Result<void> opened = open_log(log, options); !opened) {
    log.error(opened.error());
    return kFailure;
  }
  log_head(log);
  Session session{call, std::move(place).value(), log};
  const int status = run_command(session);
  // Ours, and empty as the dump failed, unless a log was written to it.
  if (status != kOk && call.shortcut && !options.explain && start)
    (void)sys::unlinkat(start.value(), options.images_dir, AT_REMOVEDIR);
  return status;
}

}  // namespace

int run(const std::vector<std::string>& words) {
  Log log;
  if (Result<void> opened = open_missing_standard_fds(); !opened) return kFailure;
  Result<ParsedWords> parsed = parse_all(words, config_sources_of_environment());
  if (!parsed) return reject(log, {std::move(parsed).error(), true, kFailure});
  const std::string information = information_text(parsed.value());
  if (!information.empty()) {
    print(information);
    return kOk;
  }
  std::variant<Invocation, Rejected> call = understand(parsed.value());
  if (const Rejected* rejected = std::get_if<Rejected>(&call)) return reject(log, *rejected);
  return run_invocation(std::get<Invocation>(call), log);
}

}  // namespace cryo::cli
