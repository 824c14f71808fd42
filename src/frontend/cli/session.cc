#include "frontend/cli/session.h"

#include <fcntl.h>
#include <sys/utsname.h>

#include <cstdio>

#include "frontend/cli/help.h"
#include "sys/capability.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cryo::cli {
namespace {

// linux/capability.h
constexpr int kCapSysAdmin = 21;
constexpr int kCapCheckpointRestore = 40;

constexpr const char* kNeedsRoot =
    "cryo needs root to dump and restore processes. Without root it needs the capability "
    "CAP_CHECKPOINT_RESTORE\n"
    "(or CAP_SYS_ADMIN) and the option --unprivileged, and handles what that allows:\n"
    "  setcap cap_checkpoint_restore,cap_sys_ptrace+eip CRYO\n";
constexpr const char* kNeedsOption =
    "cryo runs without root. Add --unprivileged to accept that some processes cannot be dumped or "
    "restored so.\n";

}  // namespace

Result<void> open_missing_standard_fds() {
  for (int number = 0; number <= 2; ++number) {
    if (sys::fcntl(FdRef(number), F_GETFD)) continue;
    Fd null = TRY(sys::open("/dev/null", O_RDWR));
    CHECK(null.raw() == number);  // the lowest free one, as all below it are open
    TRY(sys::set_cloexec(null, false));
    (void)null.release();
  }
  return {};
}

Result<Workplace> enter_workplace(const CommonOptions& options) {
  Workplace place;
  place.images =
      TRY_IN(sys::open(options.images_dir, O_RDONLY | O_DIRECTORY), "opening the images directory");
  const std::string& work = options.work_dir.empty() ? options.images_dir : options.work_dir;
  place.work = TRY_IN(sys::open(work, O_RDONLY | O_DIRECTORY), "opening the work directory");
  TRY(sys::fchdir(place.work));
  return place;
}

Result<void> open_log(Log& log, const CommonOptions& options) {
  if (options.log_file.empty()) {
    log.open(FdRef(2));
  } else if (options.log_file == "-") {
    log.open(FdRef(1));
  } else {
    Fd file = TRY_IN(sys::open(options.log_file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600),
                     "opening the log");
    log.open(std::move(file));
  }
  return {};
}

void log_head(Log& log) {
  utsname name{};
  (void)uname(&name);
  log.info("Version: {} (cryo {})", kCompatibleVersion, CRYO_VERSION);
  log.info("Running on {} {} {} {} {}", name.nodename, name.sysname, name.release, name.version,
           name.machine);
}

std::string missing_privilege(bool unprivileged_allowed) {
  if (sys::geteuid() == 0) return "";
  const uint64_t effective = sys::effective_capabilities().value_or(0);
  const uint64_t wanted = uint64_t{1} << kCapSysAdmin | uint64_t{1} << kCapCheckpointRestore;
  if ((effective & wanted) == 0) return kNeedsRoot;
  return unprivileged_allowed ? "" : kNeedsOption;
}

Result<void> write_pidfile(FdRef work, const std::string& path, Pid pid) {
  Fd file =
      TRY_IN(sys::openat(work, path, O_WRONLY | O_CREAT | O_EXCL, 0600), "writing the pid file");
  return sys::write_all(file, fmt::format("{}", pid));
}

void print(std::string_view text) { (void)sys::write_all(FdRef(1), text); }

}  // namespace cryo::cli
