// Locks on files, for --file-locks: those of the process on ranges of bytes (fcntl F_SETLK, "POSIX"), those of an open
// file on ranges of bytes (F_OFD_SETLK) or as a whole (flock).
//
// fdinfo shows the locks that were taken through an open file (4.1). That is all of them as long as the file has a
// descriptor: closing any descriptor of an inode ends the POSIX locks on it. Only a lock of an open file can outlive
// the descriptors, held by a mapping; it shows in /proc/locks alone. Java has one on its statistics in
// /tmp/hsperfdata_USER (since 17), so such locks need no --file-locks. CRIU does not see them. Of F_OFD_SETLK, nothing
// tells whose they are.
//
// Whoever reads /proc/locks waits until every CPU has passed a quiescent state (file_rwsem is held for writing; 5 to
// 15 ms here), with the task frozen. So it is read only where a file is mapped shared: a file that is mapped private
// alone, locked and closed is not known to exist.
//
// Nobody holds the locks between the dump and the restore.
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "file-lock.pb.h"
#include "kinds/all.h"
#include "kinds/mm/mapping.h"
#include "kinds/mm/vma_status.h"
#include "procfs/fdinfo.h"
#include "procfs/locks.h"
#include "sys/file.h"

namespace cryo {
namespace {

constexpr size_t kAtOnce = 64;  // locks taken by one batch

// file_lock_entry.flag
constexpr uint32_t kPosix = 1;
constexpr uint32_t kFlock = 2;
constexpr uint32_t kOfd = 4;
constexpr uint32_t kLease = 8;

uint32_t flag_of(const procfs::FileLock& lock) {
  if (lock.kind == "POSIX") return kPosix;
  if (lock.kind == "FLOCK") return kFlock;
  if (lock.kind == "OFDLCK") return kOfd;
  return 0;
}

std::optional<uint32_t> type_of(const procfs::FileLock& lock) {
  if (lock.mode == "READ") return F_RDLCK;
  if (lock.mode == "WRITE") return F_WRLCK;
  return std::nullopt;
}

std::string describe(const procfs::FileLock& lock) {
  if (lock.kind == "LEASE" || lock.kind == "DELEG") return "a lease (fcntl F_SETLEASE)";
  return fmt::format("a lock of the kind {} {}", lock.kind, lock.mode);
}

Result<std::vector<procfs::FileLock>> locks_of(const FdView& view) {
  if (!view.field("lock")) return std::vector<procfs::FileLock>();
  const procfs::FdInfo info = TRY(procfs::FdInfo::parse(view.info));
  return procfs::locks_of(info);
}

// --- dump

using Inode = std::pair<dev_t, uint64_t>;

Inode inode_of(const procfs::FileLock& lock) { return {makedev(lock.major, lock.minor), lock.ino}; }

bool may_hold_lock(const procfs::Vma& vma) {
  return vma.shared && vma.inode != 0 && vma.name.starts_with('/') &&
         !vma.name.starts_with("/memfd:") && !vma.name.starts_with("/dev/zero") &&
         !vma.name.starts_with("/SYSV");
}

// What only a mapping holds. Which one, of several of the same file, is not known.
Result<void> capture_mapped(TaskCapture& task, const std::set<Inode>& seen) {
  if (std::ranges::none_of(task.vmas, may_hold_lock)) return {};
  const Fd file = TRY(sys::open("/proc/locks", O_RDONLY | O_CLOEXEC));
  const std::string text = TRY(sys::read_to_end(file));
  const std::vector<procfs::FileLock> all = TRY(procfs::parse_locks(text));
  std::map<Inode, uint32_t> others;
  for (const procfs::FileLock& lock : all)
    if (lock.pid == task.pid.value && flag_of(lock) == kFlock && !lock.waiting && type_of(lock) &&
        !seen.contains(inode_of(lock)))
      others[inode_of(lock)] = *type_of(lock);
  if (others.empty()) return {};
  for (const procfs::Vma& vma : task.vmas) {
    const auto lock = others.find({vma.device, vma.inode});
    if (lock == others.end()) continue;
    pb::cryo_mapped_lock& entry = *task.image.extra.add_mapped_locks();
    entry.set_start(vma.start);
    entry.set_type(lock->second);
    others.erase(lock);
  }
  return {};
}

Result<void> examine(const TaskView& task) {
  for (const FdView& view : task.fds) {
    const std::vector<procfs::FileLock> locks =
        TRY_IN(locks_of(view), "looking at fd {}", *view.fd);
    for (const procfs::FileLock& lock : locks) {
      const std::string where = fmt::format("fd {}", *view.fd);
      if (flag_of(lock) == 0 || !type_of(lock))
        task.block(
            where,
            fmt::format("holds {} on {}, which cannot be dumped yet", describe(lock), view.link),
            "release it before the dump");
      else if (!task.capture.options.file_locks)
        task.block(where, fmt::format("holds a lock on {}", view.link),
                   "use --file-locks to dump and restore it, or release it before the dump");
      else
        continue;
      break;
    }
  }
  return {};
}

Result<void> capture(TaskCapture& task) {
  std::map<uint32_t, uint32_t> ids;  // by number
  for (const pb::fdinfo_entry& fd : task.image.fds) ids[fd.fd()] = fd.id();
  std::set<uint32_t> done;
  std::set<Inode> seen;
  for (const FdView& view : task.fds) {
    const auto number = static_cast<uint32_t>(view.fd->value);
    const std::vector<procfs::FileLock> locks = TRY(locks_of(view));
    // Every descriptor of an open file shows its locks.
    if (locks.empty() || !done.insert(ids[number]).second) continue;
    for (const procfs::FileLock& lock : locks) {
      seen.insert(inode_of(lock));
      pb::file_lock_entry entry;
      entry.set_flag(flag_of(lock));
      entry.set_type(type_of(lock).value_or(F_RDLCK));
      entry.set_pid(task.pid.value);
      entry.set_fd(static_cast<int32_t>(number));
      entry.set_start(static_cast<int64_t>(lock.start));
      entry.set_len(lock.end ? static_cast<int64_t>(*lock.end - lock.start + 1) : 0);
      TRY(task.capture.images.append({ImageKind::filelocks}, entry));
    }
  }
  return capture_mapped(task, seen);
}

// --- restore

Result<void> check(const std::set<int64_t>& fds, const pb::file_lock_entry& lock) {
  const auto bad = [&](const char* what) {
    return Error::bad_image(fmt::format("filelocks.img: the lock of fd {}: {}", lock.fd(), what));
  };
  if (lock.flag() == kLease)
    return Error::unsupported(
        fmt::format("fd {} holds a lease, which cannot be restored yet", lock.fd()));
  if (lock.flag() != kPosix && lock.flag() != kFlock && lock.flag() != kOfd)
    return bad("its kind is unknown");
  if (lock.type() != F_RDLCK && lock.type() != F_WRLCK) return bad("its type is unknown");
  if (lock.start() < 0 || lock.len() < 0 || lock.start() > INT64_MAX - lock.len())
    return bad("its range is impossible");
  if (!fds.contains(lock.fd())) return bad("the process has no such fd");
  return {};
}

void add_call(Batch& batch, const pb::file_lock_entry& lock) {
  if (lock.flag() == kFlock) {
    batch.call(SYS_flock, lock.fd(), (lock.type() == F_WRLCK ? LOCK_EX : LOCK_SH) | LOCK_NB);
    return;
  }
  struct flock range {};
  range.l_type = static_cast<short>(lock.type());
  range.l_whence = SEEK_SET;
  range.l_start = lock.start();
  range.l_len = lock.len();
  batch.call(SYS_fcntl, lock.fd(), lock.flag() == kOfd ? F_OFD_SETLK : F_SETLK, batch.put(range));
}

Error held_by_others(const std::string& which) {
  return Error::os(EAGAIN, fmt::format("the lock {} is held by another process now", which))
      .hint("/proc/locks says by which");
}

Result<void> take(TaskStage& stage, std::span<const pb::file_lock_entry> locks) {
  Batch batch;
  for (const pb::file_lock_entry& lock : locks) add_call(batch, lock);
  const Outcome outcome = TRY(stage.leader.run(batch));
  if (outcome.complete()) return {};
  const pb::file_lock_entry& lock = locks[outcome.finished()];
  const int64_t error = -outcome.result(outcome.finished());
  if (error != EAGAIN && error != EACCES) return unexpected_answer(batch, outcome);
  Result<std::string> name = sys::readlinkat(stage.proc, fmt::format("fd/{}", lock.fd()));
  return held_by_others(fmt::format("of fd {} on {}", lock.fd(), name ? *name : "its file"));
}

// Before the descriptors that mappings are made from are closed.
Result<void> compile_mapped(TaskRestore& task) {
  if (task.image.extra.mapped_locks().empty()) return {};
  std::map<uint64_t, const pb::vma_entry*> files;
  for (const pb::vma_entry& vma : task.image.mm.vmas())
    if ((vma.status() & (kVmaFilePrivate | kVmaFileShared)) != 0) files[vma.start()] = &vma;
  for (const pb::cryo_mapped_lock& lock : task.image.extra.mapped_locks()) {
    const auto file = files.find(lock.start());
    if (file == files.end())
      return Error::bad_image(
          fmt::format("the lock of the mapping {:x}: no file is mapped there", lock.start()));
    const int staged = staged_source(task, *file->second);
    const int operation = lock.type() == F_WRLCK ? LOCK_EX : LOCK_SH;
    task.plan.host(Phase::map, fmt::format("lock the file mapped at {:x}", lock.start()),
                   [=, start = lock.start()](TaskStage& stage) -> Result<void> {
                     // By the task itself: the kernel notes who takes it.
                     Batch batch;
                     batch.call(SYS_flock, staged, operation | LOCK_NB);
                     const Outcome outcome = TRY(stage.leader.run(batch));
                     if (outcome.complete()) return {};
                     if (outcome.result(0) != -EAGAIN) return unexpected_answer(batch, outcome);
                     return held_by_others(fmt::format("on the file mapped at {:x}", start));
                   });
  }
  return {};
}

// When all descriptors are at their places, and none of those that the restore needed is left: closing one of these
// would end the POSIX locks.
Result<void> compile(TaskRestore& task) {
  TRY(compile_mapped(task));
  std::vector<pb::file_lock_entry> own;
  const std::vector<pb::file_lock_entry> all =
      TRY(task.restore.images.records<pb::file_lock_entry>({ImageKind::filelocks}));
  std::set<int64_t> fds;
  for (const pb::fdinfo_entry& fd : task.image.fds) fds.insert(fd.fd());
  for (const pb::file_lock_entry& lock : all) {
    if (lock.pid() != task.image.pid().value) continue;
    TRY(check(fds, lock));
    own.push_back(lock);
  }
  if (own.empty()) return {};
  if (!task.restore.options.file_locks)
    return Error::usage(fmt::format("{} holds locks on files", task.image.pid()))
        .hint("restore it with --file-locks");
  task.plan.host(Phase::task, fmt::format("take {} locks on files", own.size()),
                 [own = std::move(own)](TaskStage& stage) -> Result<void> {
                   std::span<const pb::file_lock_entry> rest(own);
                   while (!rest.empty()) {
                     const size_t some = std::min(rest.size(), kAtOnce);
                     TRY(take(stage, rest.first(some)));
                     rest = rest.subspan(some);
                   }
                   return {};
                 });
  return {};
}

}  // namespace

const TaskKind file_locks_kind = {
    .name = "file locks", .examine = examine, .capture = capture, .compile = compile};

}  // namespace cryo
