// The terminal that a program was started from: the slave of a pseudo terminal whose master is not part of the dump.
// With --shell-job (or --external tty[...]) the restore connects the program to its own terminal instead. Queued data
// stays in the terminal; its settings are part of the images.
#include <asm/termbits.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <cstring>
#include <map>
#include <set>

#include "fdinfo.pb.h"
#include "kinds/all.h"
#include "kinds/files/inherit.h"
#include "kinds/files/owner.h"
#include "kinds/files/regular.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/signal.h"

namespace cryo {
namespace {

constexpr unsigned kFirstSlave = 136;  // major numbers of slaves, Unix98 style
constexpr unsigned kLastSlave = 143;
constexpr unsigned kSlavesPerMajor = 256;
constexpr unsigned kFirstExternalId = 1010;

bool is_slave(const struct stat& st) {
  return S_ISCHR(st.st_mode) && major(st.st_rdev) >= kFirstSlave && major(st.st_rdev) <= kLastSlave;
}

uint32_t index_of(const struct stat& st) {
  return (major(st.st_rdev) - kFirstSlave) * kSlavesPerMajor + minor(st.st_rdev);
}

bool matches(const FdView& view) { return is_slave(view.st) && (view.flags & O_PATH) == 0; }

// --- dump

struct CapturedTerminals {
  std::set<uint32_t> ids;
};

bool is_external(const TaskView& task, const FdView& view) {
  const std::vector<ExternalTty>& all = task.capture.options.external_ttys;
  return std::find(all.begin(), all.end(), ExternalTty{view.st.st_rdev, view.st.st_dev}) !=
         all.end();
}

Result<void> examine(const TaskView& task, const FdView& view) {
  if (is_external(task, view) || task.capture.options.shell_job) return {};
  task.block(
      fmt::format("fd {}", *view.fd), fmt::format("is a terminal ({})", view.link),
      fmt::format(
          "use --shell-job on both sides if it is that of the shell, or --external tty[{:x}:{:x}]",
          view.st.st_rdev, view.st.st_dev));
  return {};
}

template <class Out>
void set_termios(const struct termios& settings, Out& out) {
  out.set_c_iflag(settings.c_iflag);
  out.set_c_oflag(settings.c_oflag);
  out.set_c_cflag(settings.c_cflag);
  out.set_c_lflag(settings.c_lflag);
  out.set_c_line(settings.c_line);
  out.set_c_ispeed(0);
  out.set_c_ospeed(0);
  // As many words as there are bytes: the bytes are in the first ones.
  uint32_t words[NCCS] = {};
  std::memcpy(words, settings.c_cc, NCCS);
  for (const uint32_t word : words) out.add_c_cc(word);
}

Result<void> capture_settings(const TaskView& task, const FdView& view, pb::tty_info_entry& info) {
  const Fd pidfd = TRY(sys::pidfd_open(task.pid));
  const Fd terminal = TRY(view.steal(pidfd));
  struct termios settings {};
  struct termios locked {};
  struct winsize window {};
  int exclusive = 0;
  TRY(sys::ioctl(terminal, TCGETS, &settings));
  TRY(sys::ioctl(terminal, TIOCGLCKTRMIOS, &locked));
  TRY(sys::ioctl(terminal, TIOCGWINSZ, &window));
  TRY(sys::ioctl(terminal, TIOCGEXCL, &exclusive));
  set_termios(settings, *info.mutable_termios());
  set_termios(locked, *info.mutable_termios_locked());
  info.mutable_winsize()->set_ws_row(window.ws_row);
  info.mutable_winsize()->set_ws_col(window.ws_col);
  info.mutable_winsize()->set_ws_xpixel(window.ws_xpixel);
  info.mutable_winsize()->set_ws_ypixel(window.ws_ypixel);
  info.set_exclusive(exclusive != 0);
  return {};
}

Result<void> capture_info(const TaskView& task, const FdView& view, uint32_t id, bool external) {
  pb::tty_info_entry info;
  info.set_id(id);
  info.set_type(external ? pb::EXT_TTY : pb::PTY);
  info.set_locked(false);
  info.set_exclusive(false);
  info.set_packet_mode(false);
  // Only the tasks of a session may ask the terminal for it.
  const bool controlling =
      static_cast<uint32_t>(task.stat.tty) == static_cast<uint32_t>(view.st.st_rdev);
  info.set_sid(controlling ? static_cast<uint32_t>(task.stat.session) : 0);
  info.set_pgrp(controlling && task.stat.tpgid > 0 ? static_cast<uint32_t>(task.stat.tpgid) : 0);
  info.set_rdev(static_cast<uint32_t>(view.st.st_rdev));
  info.set_dev(static_cast<uint32_t>(view.st.st_dev));
  info.set_uid(view.st.st_uid);
  info.set_gid(view.st.st_gid);
  if (!external) {
    TRY(capture_settings(task, view, info));
    info.mutable_pty()->set_index(index_of(view.st));
  }
  return task.capture.images.append({ImageKind::tty_info}, info);
}

Result<void> capture(const TaskView& task, const FdView& view, FileId id, pb::file_entry& entry) {
  const bool external = is_external(task, view);
  const uint32_t info = 2 * (index_of(view.st) + (external ? kFirstExternalId : 0));
  pb::tty_file_entry& tty = *entry.mutable_tty();
  tty.set_id(id.value);
  tty.set_tty_info_id(info);
  tty.set_flags(view.flags);
  if (!external) {
    pb::file_entry& path = task.capture.files.new_entry(task.capture, pb::REG);
    tty.set_regf_id(path.id());
    TRY(record_path(task, view, FileId{path.id()}, *path.mutable_reg()));
    set_no_owner(*path.mutable_reg()->mutable_fown());
  }
  if (task.capture.shelf.get<CapturedTerminals>().ids.insert(info).second)
    TRY_IN(capture_info(task, view, info, external), "looking at the terminal {}", view.link);
  return {};
}

// --- restore

struct RestoredTerminals {
  bool loaded = false;
  std::map<uint32_t, pb::tty_info_entry> infos;
  std::set<uint32_t> settled;
};

Result<void> load(RestoredTerminals& terminals, const ImageReader& images) {
  if (terminals.loaded) return {};
  const std::vector<pb::tty_info_entry> all =
      TRY(images.records<pb::tty_info_entry>({ImageKind::tty_info}));
  for (const pb::tty_info_entry& info : all) terminals.infos[info.id()] = info;
  terminals.loaded = true;
  return {};
}

// We may be in the background of the terminal, where changing it would stop us.
class NotStopped {
 public:
  NotStopped() : before_(sys::rt_sigprocmask(SIG_BLOCK, sys::sig_bit(SIGTTOU))) {}
  NotStopped(const NotStopped&) = delete;
  ~NotStopped() {
    if (before_) (void)sys::rt_sigprocmask(SIG_SETMASK, before_.value());
  }

 private:
  Result<sys::SigSet> before_;
};

Result<void> settle(FdRef terminal, const pb::tty_info_entry& info, const pb::pstree_entry& task) {
  const NotStopped not_stopped;
  if (info.has_termios()) {
    struct termios settings {};
    const pb::termios_entry& from = info.termios();
    settings.c_iflag = from.c_iflag();
    settings.c_oflag = from.c_oflag();
    settings.c_cflag = from.c_cflag();
    settings.c_lflag = from.c_lflag();
    settings.c_line = static_cast<cc_t>(from.c_line());
    uint32_t words[NCCS] = {};
    for (int i = 0; i < std::min(from.c_cc_size(), NCCS); ++i) words[i] = from.c_cc(i);
    std::memcpy(settings.c_cc, words, NCCS);
    TRY(sys::ioctl(terminal, TCSETS, &settings));
  }
  // In the foreground it was in a process group of its own, which nobody else puts there.
  const bool foreground =
      info.pgrp() != 0 && info.pgrp() == task.pgid() && task.pgid() == task.pid();
  if (!foreground || info.sid() == task.pid()) return {};
  int32_t group = static_cast<int32_t>(task.pgid());
  TRY_IN(sys::ioctl(terminal, TIOCSPGRP, &group), "giving the terminal to process group {}", group);
  return {};
}

Result<Fd> open_own(const FileRestore& file, const pb::tty_file_entry& tty,
                    const pb::tty_info_entry& info) {
  const std::string name = fmt::format("terminal {}", info.pty().index());
  if (!file.restore.options.shell_job)
    return Error::usage(fmt::format("the process has a {} from outside", name))
        .hint(fmt::format(
            "use --shell-job to connect it to yours, or --inherit-fd fd[N]:tty[{:x}:{:x}]",
            info.rdev(), info.dev()));
  const struct stat ours = TRY(sys::fstat(FdRef(0)));
  if (!is_slave(ours))
    return Error::usage("with --shell-job, the standard input has to be a terminal")
        .hint("run the restore in a terminal");
  return sys::open(
      "/proc/self/fd/0",
      static_cast<int>(tty.flags() & (O_ACCMODE | O_NONBLOCK | O_APPEND)) | O_NOCTTY | O_CLOEXEC);
}

Result<Fd> restore(const FileRestore& file, const pb::file_entry& entry) {
  const pb::tty_file_entry& tty = entry.tty();
  RestoredTerminals& terminals = file.restore.shelf.get<RestoredTerminals>();
  TRY(load(terminals, file.restore.images));
  const auto info = terminals.infos.find(tty.tty_info_id());
  if (info == terminals.infos.end())
    return Error::bad_image(fmt::format("tty-info.img has no terminal {}", tty.tty_info_id()));
  const std::string key = fmt::format("tty[{:x}:{:x}]", info->second.rdev(), info->second.dev());
  std::optional<Fd> outside = TRY(inherited(file.restore, key));
  if (outside) return std::move(*outside);
  if (info->second.type() == pb::EXT_TTY)
    return Error::usage(fmt::format("{} is a terminal from outside", key))
        .hint(fmt::format("pass it with --inherit-fd fd[N]:{}", key));
  const bool slave = info->second.type() == pb::PTY && info->second.id() % 2 == 0;
  if (!slave)
    return Error::unsupported(
        fmt::format("{} is a terminal of type {}, which cannot be restored yet", key,
                    static_cast<int>(info->second.type())));
  Fd fd = TRY(open_own(file, tty, info->second));
  if (!terminals.settled.insert(info->first).second) return fd;
  // Last, so that a restore that fails leaves the terminal as it was.
  Fd copy = TRY(sys::dup(fd));
  const std::shared_ptr<Fd> kept = std::make_shared<Fd>(std::move(copy));
  const pb::tty_info_entry settings = info->second;
  const pb::pstree_entry task = file.restore.snapshot.tasks.front().node;
  file.restore.finally.emplace_back(
      [kept, settings, task] { return settle(*kept, settings, task); });
  return fd;
}

// --- the controlling terminal

Result<void> examine_controlling(const TaskView& task) {
  if (task.stat.tty == 0 || task.stat.session != task.pid.value) return {};
  for (const FdView& view : task.fds)
    if (static_cast<uint32_t>(view.st.st_rdev) == static_cast<uint32_t>(task.stat.tty) &&
        matches(view))
      return {};
  task.block("", "has a controlling terminal, but no descriptor for it",
             "start it with setsid and without a terminal");
  return {};
}

Result<void> compile_controlling(TaskRestore& task) {
  const pb::pstree_entry& node = task.image.node;
  if (node.sid() != node.pid()) return {};
  const std::vector<pb::tty_info_entry> infos =
      TRY(task.restore.images.records<pb::tty_info_entry>({ImageKind::tty_info}));
  for (const pb::tty_info_entry& info : infos) {
    if (info.sid() != node.sid()) continue;
    for (const pb::fdinfo_entry& entry : task.image.fds) {
      const auto file = task.restore.snapshot.files.find(FileId{entry.id()});
      if (file == task.restore.snapshot.files.end() || !file->second.has_tty() ||
          file->second.tty().tty_info_id() != info.id())
        continue;
      task.plan.calls(Phase::task).call(SYS_ioctl, entry.fd(), TIOCSCTTY, 0);
      return {};
    }
  }
  return {};
}

}  // namespace

const FileKind tty_kind = {
    .name = "tty",
    .type = pb::TTY,
    .matches = matches,
    .examine = examine,
    .capture = capture,
    .restore = restore,
    .owner = [](const pb::file_entry& entry) -> const pb::fown_entry& {
      return entry.tty().fown();
    },
    .mutable_owner = [](pb::file_entry& entry) { return entry.mutable_tty()->mutable_fown(); },
};

const TaskKind controlling_terminal_kind = {
    .name = "controlling terminal", .examine = examine_controlling, .compile = compile_controlling};

}  // namespace cryo
