#include <fcntl.h>

#include "engine/checkpoint.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/progress.h"
#include "plan/action_scripts.h"
#include "plan/stats.h"
#include "sys/file.h"

namespace cryo::cli {
namespace {

// "fd 7: a TCP connection" with its remedy below.
std::string blocker_text(const Blocker& blocker) {
  std::string text = fmt::format("  {}: ", blocker.pid);
  if (!blocker.where.empty()) text += blocker.where + ": ";
  text += blocker.what + "\n";
  if (!blocker.remedy.empty()) text += fmt::format("      {}\n", blocker.remedy);
  return text;
}

std::string milliseconds(uint64_t us) {
  return fmt::format("{}.{} ms", us / 1000, us % 1000 / 100);
}

// For "cryo dump PID": where it went and how to get it back.
std::string farewell(const DumpOptions& options, const DumpReport& report) {
  return fmt::format("Process {} is in {} ({}; frozen for {}).\nRestore it with: cryo restore {}\n",
                     options.tree, options.images_dir, human_size(report.image_bytes),
                     milliseconds(report.frozen_us), options.images_dir);
}

void report_success(Session& session, const DumpOptions& options, const DumpReport& report) {
  Log& log = session.log;
  log.info("Writing stats");
  if (Result<void> written = write_stats(session.place.work, report); !written)
    log.warn("no stats-dump was written: {}", written.error().message());
  log.info("Dumping finished successfully");
  if (options.display_stats) print(stats_text(report));
  if (session.call.shortcut) print(farewell(options, report));
}

}  // namespace

int explain_dump(Session& session) {
  const DumpOptions options = dump_options(session.call.settings);
  Job job{.log = session.log, .images = session.place.images, .work = session.place.work};
  const Result<std::vector<Blocker>> blockers = explain_checkpoint(options, job);
  if (!blockers) {
    session.log.error(blockers.error());
    return kFailure;
  }
  if (blockers.value().empty()) {
    print(fmt::format("Process {} can be dumped.\n", options.tree));
    return kOk;
  }
  const size_t count = blockers.value().size();
  std::string text = fmt::format("Process {} cannot be dumped, for {} reason{}:\n", options.tree,
                                 count, count == 1 ? "" : "s");
  for (const Blocker& blocker : blockers.value()) text += blocker_text(blocker);
  print(text);
  return kFailure;
}

int dump_command(Session& session) {
  const DumpOptions options = dump_options(session.call.settings);
  if (options.explain) return explain_dump(session);
  ActionScripts scripts(options.action_scripts, session.place.images, session.place.work,
                        session.log);
  ProgressLine line{FdRef(2)};
  Job job{.log = session.log,
          .images = session.place.images,
          .work = session.place.work,
          .notify = [&](Action action, Pid root) { return scripts.run(action, root); },
          .progress = [&](const Progress& progress) { line.show(progress); }};
  Result<DumpReport> report = checkpoint(options, job);
  line.clear();
  if (report) {
    report_success(session, options, report.value());
    return kOk;
  }
  session.log.error(report.error());
  session.log.error(Error::of(ErrorKind::os, "Dumping FAILED."));
  return scripts.failed_status() != 0 ? scripts.failed_status() : kFailure;
}

}  // namespace cryo::cli
