#include "kinds/files/table.h"

#include <linux/kcmp.h>

#include "fdinfo.pb.h"
#include "kinds/files/owner.h"
#include "kinds/files/unknown.h"
#include "kinds/registry.h"
#include "sys/process.h"

namespace cryo {

// Candidates are in the order in which the kernel sorts descriptions, so that ten thousand times /dev/null takes few
// comparisons.
Result<CapturedFiles::Place> CapturedFiles::find(const TaskView& task, const FdView& view,
                                                 const std::vector<Seen>& candidates) const {
  // Paths are the same when their keys are.
  if (!view.fd) return candidates.empty() ? Place{0, false} : Place{0, true};
  size_t from = 0;
  size_t to = candidates.size();
  while (from < to) {
    const size_t middle = from + (to - from) / 2;
    const Seen& seen = candidates[middle];
    const int order = TRY(sys::kcmp(leader_of(task.pid), leader_of(seen.pid), KCMP_FILE,
                                    static_cast<uint64_t>(view.fd->value),
                                    static_cast<uint64_t>(seen.fd->value)));
    if (order == 0) return Place{middle, true};
    if (order == 1)
      to = middle;
    else
      from = middle + 1;
  }
  return Place{from, false};
}

Result<FdRef> CapturedFiles::pidfd_of(Pid pid) {
  const auto found = pidfds_.find(pid);
  if (found != pidfds_.end()) return FdRef(found->second);
  Fd pidfd = TRY(sys::pidfd_open(pid));
  return FdRef(pidfds_.emplace(pid, std::move(pidfd)).first->second);
}

pb::file_entry& CapturedFiles::new_entry(Capture& capture, pb::fd_types type) {
  const FileId id{capture.next_file_id++};
  pb::file_entry& entry = snapshot_->files[id];
  entry.set_type(type);
  entry.set_id(id.value);
  return entry;
}

Result<void> CapturedFiles::capture(const TaskView& task, const FdView& view,
                                    pb::file_entry& entry) {
  const FileKind& kind = *file_kind_of(view);
  if (kind.mutable_owner != nullptr) set_no_owner(*kind.mutable_owner(entry));
  TRY(kind.capture(task, view, FileId{entry.id()}, entry));
  if (kind.mutable_owner == nullptr || !view.fd || (view.flags & O_PATH) != 0) return {};
  const FdRef pidfd = TRY(pidfd_of(task.pid));
  const Fd description = TRY(view.steal(pidfd));
  return capture_owner(task, view, description, *kind.mutable_owner(entry));
}

Result<FileId> CapturedFiles::add(const TaskView& task, const FdView& view) {
  std::vector<Seen>& candidates = seen_[Key(view.st.st_dev, view.st.st_ino, view.flags, view.pos,
                                            view.mnt_id, view.link, view.fd.has_value())];
  const Place place = TRY(find(task, view, candidates));
  if (place.known) return candidates[place.index].id;
  if (!view.fd) TRY(examine_file(task, view));
  const FileKind* kind = file_kind_of(view);
  if (kind == nullptr)
    return Error::unsupported(fmt::format("{} is {}, which cannot be dumped yet", view.path,
                                          describe_unknown(view).what));
  pb::file_entry& entry = new_entry(task.capture, kind->type);
  TRY(capture(task, view, entry));
  candidates.insert(candidates.begin() + static_cast<ptrdiff_t>(place.index),
                    {task.pid, view.fd, FileId{entry.id()}});
  return FileId{entry.id()};
}

Result<void> examine_file(const TaskView& task, const FdView& view) {
  const std::string where = view.fd ? fmt::format("fd {}", *view.fd) : view.path;
  const FileKind* kind = file_kind_of(view);
  if (kind == nullptr) {
    const Unknown unknown = describe_unknown(view);
    task.block(where, fmt::format("is {}, which cannot be dumped yet", unknown.what),
               unknown.remedy);
    return {};
  }
  if (kind->examine != nullptr) TRY(kind->examine(task, view));
  return {};
}

}  // namespace cryo
