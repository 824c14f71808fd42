#include "frontend/cli/option_table.h"

#include <algorithm>
#include <array>
#include <limits>

#include "frontend/cli/values.h"

namespace cryo::cli {
namespace {

// -- Setters

template <auto Member>
Result<void> common_switch(Settings& settings, const Given& given) {
  settings.common.*Member = given.on;
  return {};
}

template <auto Member>
Result<void> common_text(Settings& settings, const Given& given) {
  settings.common.*Member = given.text();
  return {};
}

template <auto Member>
Result<void> restore_switch(Settings& settings, const Given& given) {
  settings.restore.*Member = given.on;
  return {};
}

template <auto Member>
Result<void> settings_switch(Settings& settings, const Given& given) {
  settings.*Member = given.on;
  return {};
}

Result<void> set_tree(Settings& settings, const Given& given) {
  const uint64_t pid = TRY(parse_number(given.text(), 1, std::numeric_limits<int32_t>::max()));
  settings.dump.tree = Pid{static_cast<int32_t>(pid)};
  return {};
}

Result<void> set_images_dir(Settings& settings, const Given& given) {
  settings.common.images_dir = given.text();
  settings.images_dir_given = true;
  return {};
}

Result<void> set_verbosity(Settings& settings, const Given& given) {
  settings.common.verbosity =
      TRY(parse_verbosity(given.value.value_or(""), settings.common.verbosity));
  return {};
}

Result<void> set_leave_running(Settings& settings, const Given&) {
  settings.dump.final_state = FinalState::running;
  return {};
}

Result<void> set_leave_stopped(Settings& settings, const Given&) {
  settings.dump.final_state = FinalState::stopped;
  settings.restore.leave_stopped = true;
  return {};
}

Result<void> set_cpu_cap(Settings& settings, const Given& given) {
  settings.common.cpu_cap = TRY(parse_cpu_cap(given.value.value_or("")));
  return {};
}

Result<void> set_file_validation(Settings& settings, const Given& given) {
  settings.common.file_validation = TRY(parse_file_validation(given.text()));
  return {};
}

Result<void> set_timeout(Settings& settings, const Given& given) {
  const uint64_t seconds = TRY(parse_number(given.text(), 0, std::numeric_limits<int32_t>::max()));
  settings.dump.timeout_s = static_cast<uint32_t>(seconds);
  return {};
}

Result<void> set_ghost_limit(Settings& settings, const Given& given) {
  settings.dump.ghost_limit = TRY(parse_size(given.text()));
  return {};
}

Result<void> set_link_remap(Settings& settings, const Given& given) {
  settings.dump.link_remap = given.on;
  return {};
}

Result<void> set_pidfile(Settings& settings, const Given& given) {
  settings.restore.pidfile = given.text();
  return {};
}

Result<void> add_external(Settings& settings, const Given& given) {
  return parse_external(given.text(), settings.common);
}

Result<void> add_inherit_fd(Settings& settings, const Given& given) {
  InheritFd inherit = TRY(parse_inherit_fd(given.text()));
  settings.restore.inherit_fds.push_back(std::move(inherit));
  return {};
}

Result<void> add_action_script(Settings& settings, const Given& given) {
  settings.common.action_scripts.push_back(given.text());
  return {};
}

Result<void> add_close_fd(Settings& settings, const Given& given) {
  const uint64_t fd = TRY(parse_number(given.text(), 0, std::numeric_limits<int>::max()));
  settings.close_fds.push_back(static_cast<int>(fd));
  return {};
}

Result<void> set_config(Settings& settings, const Given& given) {
  settings.config = given.text();
  return {};
}

Result<void> set_extra(Settings& settings, const Given& given) {
  settings.check.extra = given.on;
  return {};
}

Result<void> set_experimental(Settings& settings, const Given& given) {
  settings.check.experimental = given.on;
  return {};
}

Result<void> set_all(Settings& settings, const Given&) {
  settings.check.extra = settings.check.experimental = true;
  return {};
}

Result<void> add_feature(Settings& settings, const Given& given) {
  settings.check.features.push_back(given.text());
  return {};
}

Result<void> refuse_ms(Settings&, const Given&) {
  return Error::usage("--ms is deprecated; see \"Check options\" of --help");
}

// -- The commands

constexpr std::array<CommandRow, 12> kCommands = {{
    {Command::dump, "dump", true, "-t PID [OPTIONS]  |  dump PID [OPTIONS]",
     "Write the process PID, its threads and everything they hold to image files, and end it. With "
     "--leave-running "
     "it goes on. The second form needs no directory: it makes ./checkpoint-PID and says so."},
    {Command::restore, "restore", true, "[OPTIONS]  |  restore DIR [OPTIONS]",
     "Make the process of the image files again, as it was, with its pid, and let it run. Waits "
     "for it as its parent, "
     "unless --restore-detached. Without -D and without images here, the newest ./checkpoint-* is "
     "taken."},
    {Command::check, "check", true, "[OPTIONS]  |  check -t PID",
     "Say whether this kernel has what cryo needs; with -t, everything that would keep PID from "
     "being dumped. "
     "Changes nothing."},
    {Command::pre_dump, "pre-dump", false, "-t PID", "dump memory ahead of a dump, to shorten it"},
    {Command::lazy_pages, "lazy-pages", false, "-D DIR",
     "serve memory to a restored process on demand"},
    {Command::page_server, "page-server", false, "", "receive memory over the network"},
    {Command::service, "service", false, "", "serve requests on a socket"},
    {Command::swrk, "swrk", false, "FD", "serve one caller on an inherited socket"},
    {Command::dedup, "dedup", false, "", "punch out pages that later dumps overrode"},
    {Command::cpuinfo, "cpuinfo", false, "dump|check", "write or compare the CPU's features"},
    {Command::exec, "exec", false, "", nullptr},
    {Command::show, "show", false, "", nullptr},
}};

constexpr Commands kDump = bit(Command::dump);
constexpr Commands kRestore = bit(Command::restore);
constexpr Commands kCheck = bit(Command::check);
constexpr Commands kBoth = kDump | kRestore;
constexpr Commands kPreDump = bit(Command::pre_dump);
constexpr Commands kLazy = bit(Command::lazy_pages);
constexpr Commands kServer = bit(Command::page_server);
constexpr Commands kService = bit(Command::service);
constexpr Commands kCpuinfo = bit(Command::cpuinfo);
constexpr Commands kAll = kAllCommands;

// -- The options. Rows of supported options have their help as --help prints it.

using K = OptionKind;
using G = Group;

constexpr OptionRow kOptions[] = {
    {"tree", 't', K::value, kDump | kPreDump | kCheck, G::generic, "PID",
     "dump the process PID and all below it", set_tree},
    {"images-dir", 'D', K::value, kAll, G::generic, "DIR",
     "the directory of the image files; it has to exist. Default: the current directory",
     set_images_dir},
    {"work-dir", 'W', K::value, kAll, G::generic, "DIR",
     "change to DIR first: logs, pid files and statistics are written there. Default: the images "
     "directory",
     common_text<&CommonOptions::work_dir>},
    {"leave-running", 'R', K::flag, kDump, G::generic, nullptr,
     "let the process go on after the dump", set_leave_running},
    {"leave-stopped", 's', K::flag, kBoth, G::generic, nullptr,
     "leave the process stopped (as by SIGSTOP) after the dump or the restore", set_leave_stopped},
    {"restore-detached", 'd', K::toggle, kRestore | kServer | kService | kLazy, G::generic, nullptr,
     "end as soon as the restored process runs, instead of waiting for it as its parent",
     restore_switch<&RestoreOptions::detached>},
    {"daemon", 0, K::toggle, kRestore | kServer | kService | kLazy, G::generic, nullptr,
     "the same as --restore-detached", restore_switch<&RestoreOptions::detached>},
    {"restore-sibling", 'S', K::toggle, kRestore, G::generic, nullptr,
     "make the restored process a child of cryo's parent; only with --restore-detached",
     restore_switch<&RestoreOptions::sibling>},
    {"pidfile", 0, K::value, kRestore | kServer | kService | kLazy, G::generic, "FILE",
     "write the pid of the restored process to FILE, which must not exist yet", set_pidfile},
    {"exec-cmd", 0, K::flag, kRestore, G::generic, nullptr,
     "after the restore become the command that follows \"--\", as the parent of the restored "
     "process; not with "
     "--restore-detached",
     settings_switch<&Settings::exec_cmd>},
    {"cpu-cap", 0, K::optional, kBoth | kCpuinfo, G::generic, "LIST",
     "what of the CPU to write and to compare: cpu (the very model), fpu, ins (the instruction "
     "sets), all or none, "
     "with commas between, ^ before what is not wanted. Without a list: all. Without the option: "
     "ins,fpu are "
     "compared, nothing is written",
     set_cpu_cap},
    {"timeout", 0, K::value, kDump | kPreDump, G::generic, "SECONDS",
     "give up when freezing takes longer. Default: 10; 0 is no limit", set_timeout},
    {"unprivileged", 0, K::toggle, kAll, G::generic, nullptr,
     "run without root, with CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN, and accept what that cannot "
     "do",
     common_switch<&CommonOptions::unprivileged>},
    {"explain", 0, K::toggle, kBoth, G::generic, nullptr,
     "touch nothing. dump: list everything that keeps the process from being dumped, and what to "
     "do about it; exit "
     "status 1 if there is any. restore: print what would be done",
     common_switch<&CommonOptions::explain>},
    {"close", 0, K::value, kAll, G::generic, "FD",
     "close this descriptor before anything else; may be repeated", add_close_fd},

    {"external", 0, K::value, kBoth, G::external, "RESOURCE",
     "do not store this resource; may be repeated. file[MNT_ID:INODE] or tty[RDEV:DEV], numbers in "
     "hexadecimal",
     add_external},
    {"inherit-fd", 0, K::value, kRestore, G::external, "fd[NUMBER]:FILE",
     "use cryo's open descriptor NUMBER where the process had FILE; may be repeated. FILE is "
     "pipe:[INODE], "
     "file[MNT_ID:INODE], tty[RDEV:DEV], a path without the leading slash, or /memfd:NAME",
     add_inherit_fd},

    {"shell-job", 'j', K::toggle, kBoth, G::special, nullptr,
     "allow a process that was started from a shell: its session, process group and terminal come "
     "from outside",
     common_switch<&CommonOptions::shell_job>},
    {"file-locks", 'l', K::toggle, kBoth, G::special, nullptr,
     "dump and restore the locks that the process holds on files; nobody holds them in between",
     common_switch<&CommonOptions::file_locks>},
    {"link-remap", 0, K::toggle, kDump, G::special, nullptr,
     "keep files that were removed but have other names with a temporary link beside them",
     set_link_remap},
    {"ghost-limit", 0, K::value, kDump, G::special, "SIZE",
     "the largest removed file to store, with suffix K, M or G. Default: 1M", set_ghost_limit},
    {"file-validation", 0, K::value, kBoth, G::special, "METHOD",
     "how to see that a file has not changed: filesize, or buildid (of executables, else the "
     "size). Default: buildid",
     set_file_validation},
    {"skip-file-rwx-check", 0, K::toggle, kRestore, G::special, nullptr,
     "do not compare the permission bits of files",
     restore_switch<&RestoreOptions::skip_file_rwx_check>},
    {"root", 'r', K::value, kRestore, G::special, "PATH",
     "the root directory of the process. Default: /", common_text<&CommonOptions::root>},
    {"action-script", 0, K::value, kBoth, G::special, "FILE",
     "run this program at each step, named in CRTOOLS_SCRIPT_ACTION; may be repeated",
     add_action_script},

    {"extra", 0, K::toggle, kCheck, G::check, nullptr,
     "check features that only some processes need, too", set_extra},
    {"experimental", 0, K::toggle, kCheck, G::check, nullptr,
     "check features that make things faster or are new, too", set_experimental},
    {"all", 0, K::flag, kCheck, G::check, nullptr, "the same as --extra --experimental", set_all},
    {"feature", 0, K::value, kCheck, G::check, "NAME",
     "check one feature; may be repeated. \"list\" shows all of them", add_feature},

    {"log-file", 'o', K::value, kAll, G::logging, "FILE",
     "write the log to FILE in the work directory; - is the standard output. Default: the standard "
     "error",
     common_text<&CommonOptions::log_file>},
    {"verbosity", 'v', K::optional, kAll, G::logging, "NUM",
     "-v, -vv: say more. -vNUM: 0 nothing, 1 errors, 2 warnings, 3 phases and times, 4 everything. "
     "Default: 2",
     set_verbosity},
    {"log-pid", 0, K::toggle, kRestore, G::logging, nullptr,
     "write a log of its own, FILE.PID, for each restored process; only with --log-file",
     restore_switch<&RestoreOptions::log_pid>},
    {"display-stats", 0, K::toggle, kBoth, G::logging, nullptr,
     "print times and numbers of pages at the end", common_switch<&CommonOptions::display_stats>},

    {"config", 0, K::value, kAll, G::config, "FILE",
     "read this configuration file instead of the default ones", set_config},
    {"no-default-config", 0, K::flag, kAll, G::config, nullptr,
     "do not read the default configuration files", settings_switch<&Settings::no_default_config>},

    {"help", 'h', K::flag, kAll, G::other, nullptr, "show this text",
     settings_switch<&Settings::help>},
    {"version", 'V', K::flag, kAll, G::other, nullptr, "show the version",
     settings_switch<&Settings::version>},
    {"ms", 0, K::flag, kCheck, G::other, nullptr, nullptr, refuse_ms},

    // Not supported yet. The letters and kinds matter all the same: they decide what is an argument.
    {"libdir", 'L', K::value, kBoth, G::generic, "DIR", "plugins", nullptr},
    {"freeze-cgroup", 0, K::value, kDump | kPreDump, G::generic, "PATH", "freeze through a cgroup",
     nullptr},
    {"weak-sysctls", 0, K::toggle, kRestore, G::generic, nullptr, "missing sysctls are fine",
     nullptr},
    {"deprecated", 0, K::toggle, kBoth, G::generic, nullptr, "very old images", nullptr},
    {"stream", 0, K::toggle, kBoth | kPreDump | kCpuinfo, G::generic, nullptr, "stream the images",
     nullptr},
    {"mntns-compat-mode", 0, K::toggle, kRestore, G::generic, nullptr, "the older mount engine",
     nullptr},
    {"network-lock", 0, K::value, kDump, G::generic, "METHOD", "how connections are held", nullptr},
    {"allow-uprobes", 0, K::toggle, kBoth, G::generic, nullptr, "probed processes", nullptr},
    {"join-ns", 'J', K::value, kRestore, G::external, "NS:PID|FILE", "enter a namespace", nullptr},
    {"empty-ns", 0, K::value, kBoth, G::external, "net", "an empty network namespace", nullptr},
    {"ext-mount-map", 'M', K::value, kBoth, G::external, "KEY:VALUE", "external mounts", nullptr},
    {"enable-external-sharing", 0, K::flag, kDump, G::external, nullptr, "external mounts",
     nullptr},
    {"enable-external-masters", 0, K::flag, kDump, G::external, nullptr, "external mounts",
     nullptr},
    {"enable-fs", 0, K::value, kDump, G::external, "LIST", "more file systems", nullptr},
    {"skip-mnt", 0, K::value, kDump, G::external, "PATH", "leave out a mount", nullptr},
    {"veth-pair", 0, K::value, kRestore, G::external, "IN=OUT", "network devices", nullptr},
    {"ext-unix-sk", 'x', K::optional, kBoth, G::external, "INODES", "sockets to outside", nullptr},
    {"lsm-profile", 0, K::value, kRestore, G::external, "TYPE:NAME", "another security label",
     nullptr},
    {"lsm-mount-context", 0, K::value, kRestore, G::external, "CONTEXT", "another mount context",
     nullptr},
    {"tcp-established", 0, K::toggle, kBoth, G::special, nullptr, "TCP connections", nullptr},
    {"skip-in-flight", 0, K::toggle, kDump, G::special, nullptr, "connections not accepted yet",
     nullptr},
    {"tcp-close", 0, K::toggle, kBoth, G::special, nullptr, "TCP connections", nullptr},
    {"ghost-fiemap", 0, K::toggle, kDump, G::special, nullptr, "another way to find holes",
     nullptr},
    {"force-irmap", 0, K::toggle, kDump, G::special, nullptr, "inotify watches", nullptr},
    {"irmap-scan-path", 0, K::value, kDump, G::special, "PATH", "inotify watches", nullptr},
    {"evasive-devices", 0, K::toggle, kDump, G::special, nullptr, "other paths of devices",
     nullptr},
    {"manage-cgroups", 0, K::optional, kBoth, G::special, "MODE", "cgroups", nullptr},
    {"cgroup-root", 0, K::value, kBoth, G::special, "[CONTROLLER:]/PATH", "cgroups", nullptr},
    {"cgroup-props", 0, K::value, kDump, G::special, "TEXT", "cgroups", nullptr},
    {"cgroup-props-file", 0, K::value, kDump, G::special, "FILE", "cgroups", nullptr},
    {"cgroup-dump-controller", 0, K::value, kDump, G::special, "NAME", "cgroups", nullptr},
    {"cgroup-yard", 0, K::value, kBoth, G::special, "PATH", "cgroups", nullptr},
    {"track-mem", 0, K::toggle, kDump | kPreDump, G::memory, nullptr, "incremental dumps", nullptr},
    {"prev-images-dir", 0, K::value, kDump | kPreDump | kServer, G::memory, "DIR",
     "incremental dumps", nullptr},
    {"auto-dedup", 0, K::toggle, kBoth | kServer, G::memory, nullptr, "incremental dumps", nullptr},
    {"pre-dump-mode", 0, K::value, kPreDump, G::memory, "MODE", "incremental dumps", nullptr},
    {"lazy-pages", 0, K::flag, kBoth | kServer, G::memory, nullptr, "memory on demand", nullptr},
    {"page-server", 0, K::toggle, kDump | kPreDump | kLazy, G::memory, nullptr,
     "memory over the network", nullptr},
    {"address", 0, K::value, kBoth | kServer | kService | kLazy, G::server, "ADDRESS",
     "of a server", nullptr},
    {"port", 0, K::value, kBoth | kServer | kLazy, G::server, "PORT", "of a server", nullptr},
    {"ps-socket", 0, K::value, kBoth | kServer | kLazy, G::server, "FD", "of a server", nullptr},
    {"status-fd", 0, K::value, kServer | kService | kLazy, G::server, "FD", "of a server", nullptr},
    {"tls", 0, K::toggle, kBoth | kServer | kLazy, G::server, nullptr, "encryption", nullptr},
    {"tls-cacert", 0, K::value, kBoth | kServer | kLazy, G::server, "FILE", "encryption", nullptr},
    {"tls-cacrl", 0, K::value, kBoth | kServer | kLazy, G::server, "FILE", "encryption", nullptr},
    {"tls-cert", 0, K::value, kBoth | kServer | kLazy, G::server, "FILE", "encryption", nullptr},
    {"tls-key", 0, K::value, kBoth | kServer | kLazy, G::server, "FILE", "encryption", nullptr},
    {"tls-no-cn-verify", 0, K::flag, kBoth | kServer | kLazy, G::server, nullptr, "encryption",
     nullptr},
};

constexpr std::array<const char*, 9> kGroupTitles = {"Generic options",
                                                     "Resources from outside",
                                                     "Special resources",
                                                     "Options of check",
                                                     "Memory",
                                                     "Servers",
                                                     "Log and statistics",
                                                     "Configuration files",
                                                     "Other options"};

}  // namespace

std::span<const CommandRow> command_rows() { return kCommands; }
std::span<const OptionRow> option_rows() { return kOptions; }
const char* group_title(Group group) { return kGroupTitles[static_cast<size_t>(group)]; }

const CommandRow* find_command(std::string_view name) {
  const auto* found = std::find_if(kCommands.begin(), kCommands.end(),
                                   [&](const CommandRow& row) { return name == row.name; });
  return found == kCommands.end() ? nullptr : found;
}

}  // namespace cryo::cli
