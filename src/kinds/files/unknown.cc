#include "kinds/files/unknown.h"

#include <sys/sysmacros.h>

#include <span>

namespace cryo {
namespace {

struct Name {
  std::string_view begins;  // of the link, or of the name of an anonymous inode
  const char* what;
  const char* remedy;
};

constexpr const char* kCloseIt = "close it before the dump";

constexpr Name kAnonymous[] = {
    {"eventfd", "an eventfd", kCloseIt},
    {"timerfd", "a timerfd", kCloseIt},
    {"signalfd", "a signalfd", kCloseIt},
    {"inotify", "an inotify instance", kCloseIt},
    {"fanotify", "a fanotify group", kCloseIt},
    {"pidfd", "a pidfd", kCloseIt},
    {"io_uring", "an io_uring",
     "let the program use epoll or threads (UV_USE_IO_URING=0 for libuv)"},
    {"userfaultfd", "a userfaultfd", kCloseIt},
    {"perf_event", "a performance counter", "stop perf before the dump"},
    {"bpf-map", "a BPF map", kCloseIt},
    {"bpf-prog", "a BPF program", kCloseIt},
    {"bpf_link", "a BPF link", kCloseIt},
    {"fscontext", "a file system context", kCloseIt},
    {"kvm-", "a virtual machine", "use the machine monitor's own snapshots"},
    {"secretmem", "secret memory", "let the program use ordinary memory"},
    {"landlock-ruleset", "a Landlock ruleset", kCloseIt},
};

constexpr Name kLinks[] = {
    {"socket:[", "a socket", "close it before the dump"},
    {"pipe:[", "a pipe", "let it use files"},
    {"mnt:[", "a mount namespace", kCloseIt},
    {"net:[", "a network namespace", kCloseIt},
    {"user:[", "a user namespace", kCloseIt},
    {"pid:[", "a pid namespace", kCloseIt},
    {"ipc:[", "an IPC namespace", kCloseIt},
    {"uts:[", "a UTS namespace", kCloseIt},
    {"cgroup:[", "a cgroup namespace", kCloseIt},
    {"time:[", "a time namespace", kCloseIt},
    {"/memfd:", "a memfd", kCloseIt},
    {"/dev/pts/", "a terminal",
     "use --shell-job if it is the terminal of the shell that started it"},
    {"/dev/tty", "a terminal", "start the program with setsid and its output in a file"},
};

const Name* find(std::span<const Name> names, std::string_view text) {
  for (const Name& name : names)
    if (text.starts_with(name.begins)) return &name;
  return nullptr;
}

const char* type_name(mode_t mode) {
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "an open file of an unknown kind";
}

}  // namespace

Unknown describe_unknown(const FdView& view) {
  std::string_view anonymous = view.anon_name();
  constexpr std::string_view kBare = "anon_inode:";
  if (anonymous.empty() && view.link.starts_with(kBare))
    anonymous = std::string_view(view.link).substr(kBare.size());
  const Name* name = anonymous.empty() ? find(kLinks, view.link) : find(kAnonymous, anonymous);
  if (name != nullptr) return {fmt::format("{} ({})", name->what, view.link), name->remedy};
  if (S_ISCHR(view.st.st_mode) || S_ISBLK(view.st.st_mode))
    return {fmt::format("{} {}:{} ({})", type_name(view.st.st_mode), major(view.st.st_rdev),
                        minor(view.st.st_rdev), view.link),
            kCloseIt};
  return {fmt::format("{} ({})", type_name(view.st.st_mode), view.link), kCloseIt};
}

}  // namespace cryo
