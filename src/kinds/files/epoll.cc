// epoll: a set of watched descriptors, each with the events it is watched for and a number of the program's. All of it
// is in fdinfo. Hidden is which of them are ready; that is found out again when they are added.
//
// What is watched is an open file together with the number it had when it was added. The number may be closed or used
// again while the file lives on elsewhere: kcmp(2) tells (KCMP_EPOLL_TFD, 4.13).
//
// Watched for one event only (EPOLLONESHOT) and not armed: an error or a hang-up is reported nevertheless, because
// epoll_ctl(2) arms for these two whatever it is told.
#include <sys/syscall.h>

#include <algorithm>
#include <map>
#include <set>

#include "fdinfo.pb.h"
#include "kinds/all.h"
#include "procfs/fdinfo.h"
#include "sys/epoll.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

bool matches(const FdView& view) { return view.anon_name() == "eventpoll"; }

// --- dump

Result<void> check_targets(const TaskView& task, const FdView& view,
                           const std::vector<procfs::EpollTarget>& targets) {
  std::map<int, uint32_t> seen;
  for (const procfs::EpollTarget& target : targets) {
    const bool open =
        TRY(sys::epoll_target_is_open(task.pid, *view.fd, target.fd, seen[target.fd]++));
    if (!open)
      task.block(fmt::format("fd {}", *view.fd),
                 fmt::format("is an epoll instance that watches a file added as descriptor {}, "
                             "which is closed or another file now; that cannot be dumped yet",
                             target.fd),
                 "take it out of the set (EPOLL_CTL_DEL) before closing it");
  }
  return {};
}

Result<void> check_polling(const TaskView& task, const FdView& view) {
  const Fd pidfd = TRY(sys::pidfd_open(task.pid));
  const Fd epoll = TRY(view.steal(pidfd));
  const sys::EpollParams params = TRY(sys::epoll_params(epoll));
  if (params != sys::EpollParams{})
    task.block(fmt::format("fd {}", *view.fd),
               "is an epoll instance with busy polling (EPIOCSPARAMS), which cannot be dumped yet",
               "turn busy polling off");
  return {};
}

Result<void> capture(const TaskView& task, const FdView& view, FileId id, pb::file_entry& entry) {
  const procfs::FdInfo info = TRY(procfs::FdInfo::parse(view.info));
  const std::vector<procfs::EpollTarget> targets = TRY(procfs::epoll_targets(info));
  TRY(check_targets(task, view, targets));
  TRY(check_polling(task, view));
  pb::eventpoll_file_entry& epoll = *entry.mutable_epfd();
  epoll.set_id(id.value);
  epoll.set_flags(view.flags);
  for (const procfs::EpollTarget& target : targets) {
    pb::eventpoll_tfd_entry& out = *epoll.add_tfd();
    out.set_id(0);
    out.set_tfd(static_cast<uint32_t>(target.fd));
    out.set_events(target.events);
    out.set_data(target.data);
    out.set_dev(static_cast<uint32_t>(target.device));
    out.set_inode(target.ino);
    out.set_pos(target.pos);
  }
  return {};
}

// --- restore

Result<Fd> restore(const FileRestore& /*file*/, const pb::file_entry& entry) {
  Fd fd = TRY(sys::epoll_create());
  TRY(sys::set_status_flags(fd, static_cast<int>(entry.epfd().flags())));
  return fd;
}

bool has_fd(const TaskImage& task, uint32_t number) {
  return std::ranges::any_of(task.fds,
                             [&](const pb::fdinfo_entry& fd) { return fd.fd() == number; });
}

bool has_file(const TaskImage& task, uint32_t id) {
  return std::ranges::any_of(task.fds, [&](const pb::fdinfo_entry& fd) { return fd.id() == id; });
}

// Of those who share the instance, the first one that has all numbers which are watched.
const TaskImage* filler_of(const Snapshot& snapshot, const pb::eventpoll_file_entry& epoll) {
  for (const TaskImage& task : snapshot.tasks)
    if (has_file(task, epoll.id()) && std::ranges::all_of(epoll.tfd(), [&](const auto& target) {
          return has_fd(task, target.tfd());
        }))
      return &task;
  return nullptr;
}

// The task itself adds them, under its own numbers.
Result<void> compile(TaskRestore& task) {
  std::set<uint32_t> done;
  Batch& batch = task.plan.calls(Phase::task);
  for (const pb::fdinfo_entry& fd : task.image.fds) {
    if (fd.type() != pb::EVENTPOLL || !done.insert(fd.id()).second) continue;
    const auto file = task.restore.snapshot.files.find(FileId{fd.id()});
    if (file == task.restore.snapshot.files.end()) continue;  // the fd table says it
    const pb::eventpoll_file_entry& epoll = file->second.epfd();
    const TaskImage* filler = filler_of(task.restore.snapshot, epoll);
    if (filler == nullptr)
      return Error::bad_image(
          fmt::format("files.img: the epoll instance {} watches numbers that no process has which "
                      "has it",
                      fd.fd()));
    if (filler != &task.image) continue;
    for (const pb::eventpoll_tfd_entry& target : epoll.tfd()) {
      epoll_event event{};
      event.events = target.events();
      event.data.u64 = target.data();
      batch.call(SYS_epoll_ctl, fd.fd(), EPOLL_CTL_ADD, target.tfd(), batch.put(event));
    }
  }
  return {};
}

}  // namespace

const FileKind epoll_kind = {
    .name = "epoll",
    .type = pb::EVENTPOLL,
    .matches = matches,
    .capture = capture,
    .restore = restore,
    .owner = [](const pb::file_entry& entry) -> const pb::fown_entry& {
      return entry.epfd().fown();
    },
    .mutable_owner = [](pb::file_entry& entry) { return entry.mutable_epfd()->mutable_fown(); },
};

const TaskKind epoll_targets_kind = {.name = "epoll targets", .compile = compile};

}  // namespace cryo
