#include "kinds/files/table.h"

#include <linux/kcmp.h>

#include "fdinfo.pb.h"
#include "kinds/registry.h"
#include "sys/process.h"

namespace cryo {

Result<bool> CapturedFiles::same(const TaskView& task, const FdView& view, const Seen& seen) const {
  if (!view.fd || !seen.fd) return !view.fd && !seen.fd;  // paths are the same when their keys are
  const int order = TRY(sys::kcmp(leader_of(task.pid), leader_of(seen.pid), KCMP_FILE, static_cast<uint64_t>(view.fd->value), static_cast<uint64_t>(seen.fd->value)));
  return order == 0;
}

Result<FileId> CapturedFiles::add(const TaskView& task, const FdView& view) {
  std::vector<Seen>& candidates = seen_[Key(view.st.st_dev, view.st.st_ino, view.flags, view.pos, view.mnt_id, view.link, view.fd.has_value())];
  for (const Seen& seen : candidates) {
    const bool is_same = TRY(same(task, view, seen));
    if (is_same) return seen.id;
  }
  const FileKind* kind = file_kind_of(view);
  if (kind == nullptr) return Error::unsupported(fmt::format("{} ({}) is of a kind that cannot be dumped yet", view.path, view.link));
  const FileId id{task.capture.next_file_id++};
  pb::file_entry entry;
  entry.set_type(kind->type);
  entry.set_id(id.value);
  TRY(kind->capture(task, view, id, entry));
  snapshot_->files.emplace(id, std::move(entry));
  candidates.push_back({task.pid, view.fd, id});
  return id;
}

}  // namespace cryo
