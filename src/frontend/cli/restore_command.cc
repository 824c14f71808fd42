#include <fcntl.h>

#include <cerrno>

#include "engine/restore.h"
#include "frontend/cli/commands.h"
#include "frontend/cli/progress.h"
#include "plan/action_scripts.h"
#include "plan/stats.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/spawn.h"

namespace cryo::cli {
namespace {

void report_success(Session& session, const RestoreOptions& options, const RestoreReport& report) {
  Log& log = session.log;
  log.info("Restore finished successfully. Tasks resumed.");
  log.info("Writing stats");
  if (Result<void> written = write_stats(session.place.work, report); !written)
    log.warn("no stats-restore was written: {}", written.error().message());
  if (options.display_stats) print(stats_text(report));
}

// Takes in every child until there is none left. What becomes of them is not our result.
void wait_for_all_children(Log& log) {
  while (true) {
    const Result<std::optional<sys::Waited>> waited = sys::wait4(-1, __WALL);
    if (!waited && waited.error().code() != EINTR) return;
    if (waited && waited.value())
      log.info("{} {}", waited.value()->tid, waited.value()->status.to_string());
  }
}

int explain(Session& session, const RestoreOptions& options) {
  Job job{.log = session.log, .images = session.place.images, .work = session.place.work};
  const Result<std::string> plan = explain_restore(options, job);
  if (plan) print(plan.value());
  if (!plan) session.log.error(plan.error());
  return plan ? kOk : kFailure;
}

int after_restore(Session& session, const RestoreOptions& options) {
  if (options.detached) return kOk;
  if (options.exec_cmd.empty()) {
    wait_for_all_children(session.log);
    return kOk;
  }
  session.log.error(sys::exec(options.exec_cmd));
  return kFailure;
}

}  // namespace

int restore_command(Session& session) {
  const RestoreOptions options = restore_options(session.call.settings);
  if (options.explain) return explain(session, options);
  if (options.log_pid && (options.log_file.empty() || options.log_file == "-"))
    session.log.warn("--log-pid has no effect without a log file");
  ActionScripts scripts(options.action_scripts, session.place.images, session.place.work,
                        session.log);
  ProgressLine line{FdRef(2)};
  bool pidfile_written = false;
  Job job{.log = session.log,
          .images = session.place.images,
          .work = session.place.work,
          .notify = [&](Action action, Pid root) { return scripts.run(action, root); },
          .root_created = [&](Pid root) -> Result<void> {
            if (options.pidfile.empty()) return {};
            TRY(write_pidfile(session.place.work, options.pidfile, root));
            pidfile_written = true;
            return {};
          },
          .progress = [&](const Progress& progress) { line.show(progress); }};
  const Result<RestoreReport> report = restore(options, job);
  line.clear();
  if (!report) {
    if (pidfile_written) (void)sys::unlinkat(session.place.work, options.pidfile);
    session.log.error(report.error());
    session.log.error(Error::of(ErrorKind::os, "Restoring FAILED."));
    return kFailure;
  }
  report_success(session, options, report.value());
  return after_restore(session, options);
}

}  // namespace cryo::cli
