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

 private:
  struct Seen {
    Pid pid;
    std::optional<FdNo> fd;
    FileId id;
  };
  // Descriptions that differ in any of these are different ones.
  using Key = std::tuple<dev_t, ino_t, uint32_t, uint64_t, int, std::string, bool>;
  Result<bool> same(const TaskView& task, const FdView& view, const Seen& seen) const;

  Snapshot* snapshot_;
  std::map<Key, std::vector<Seen>> seen_;
};

}  // namespace cryo
