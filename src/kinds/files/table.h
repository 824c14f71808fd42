// The open file descriptions of a dump: each is captured once, however many descriptors refer to it.
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "plan/capture.h"

namespace cryo {

class CapturedFiles final : public FileTable {
 public:
  explicit CapturedFiles(Snapshot& snapshot) : snapshot_(&snapshot) {}
  Result<FileId> add(const TaskView& task, const FdView& view) override;
  pb::file_entry& new_entry(Capture& capture, pb::fd_types type) override;

 private:
  struct Seen {
    Pid pid;
    std::optional<FdNo> fd;
    FileId id;
  };
  // Descriptions that differ in any of these are different ones.
  using Key = std::tuple<dev_t, ino_t, uint32_t, uint64_t, int, std::string, bool>;
  struct Place {
    size_t index;  // in the candidates: of the description, or where it belongs
    bool known;
  };
  Result<Place> find(const TaskView& task, const FdView& view,
                     const std::vector<Seen>& candidates) const;
  Result<void> capture(const TaskView& task, const FdView& view, pb::file_entry& entry);
  Result<FdRef> pidfd_of(Pid pid);

  Snapshot* snapshot_;
  std::map<Key, std::vector<Seen>> seen_;
  std::map<Pid, Fd> pidfds_;
};

// Blocks the dump if the file cannot be dumped.
Result<void> examine_file(const TaskView& task, const FdView& view);

}  // namespace cryo
