// What a restore hands to the kinds: the operation, one task to compile a plan for, one file to make.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/log.h"
#include "image/store.h"
#include "model/snapshot.h"
#include "plan/job.h"
#include "plan/options.h"
#include "plan/plan.h"
#include "plan/report.h"
#include "plan/shelf.h"

namespace cryo {

class Host;
class StagedFiles;

// A mapping that the kernel made in the coordinator ([vdso], [vvar], ...) and that the new task takes along: it is
// parked where nothing of the image lies until its kind moves it to its place.
struct SpecialMapping {
  std::string name;
  uint64_t start, size;  // in the coordinator
  uint64_t parked;
};

// The whole operation.
struct Restore {
  const RestoreOptions& options;
  Log& log;
  const ImageReader& images;
  const Snapshot& snapshot;
  RestoreReport& report;
  StagedFiles& files;
  std::vector<SpecialMapping> special;
  FdRef root;  // what paths in the images are relative to (--root, or /)
  std::function<void(const Progress&)> progress;
  Shelf shelf{};
  // Done when everything else is and nothing runs yet; what remains if the restore fails.
  std::vector<std::function<Result<void>()>> finally{};
};

// Descriptors that the coordinator opens before the tasks exist and they inherit, under numbers that are known when the
// plan is compiled. If there is one task, a description is made under the first number that it has it at, if that can
// be; all other numbers are ones that no task uses, and are closed once everything is at its place.
class StagedFiles {
 public:
  // From `first` on, no number is in use here.
  // `tables` are the tasks' descriptors.
  StagedFiles(int first, std::span<const std::span<const pb::fdinfo_entry>> tables);

  // The number at which the description `id` will be found. With `open_flags`, the file is opened with these
  // instead of its own (mappings, exe).
  int file(FileId id, std::optional<int> open_flags = std::nullopt);
  // A descriptor that a kind makes itself; it is moved to the number returned.
  int add(std::string what, std::function<Result<Fd>()> make);

  struct Wanted {
    int number;
    std::string what;
    std::optional<FileId> id;
    std::optional<int> open_flags;
    std::function<Result<Fd>()> make;
    bool cloexec = false;  // matters only for a number that is the task's own
  };
  const std::vector<Wanted>& wanted() const { return wanted_; }
  // Above all of them, and above all of the task's own.
  uint64_t end() const;

 private:
  struct Place {
    int number;
    bool cloexec;
  };
  int unused_number();

  int next_;
  std::vector<uint32_t> used_;      // by tasks, ascending
  size_t below_next_ = 0;           // how many of them are below next_
  std::map<FileId, Place> places_;  // of descriptions that can be made where they will be
  std::vector<Wanted> wanted_;
  std::map<std::pair<FileId, int>, int> numbers_;
};

// One task: from its image to its plan.
struct TaskRestore {
  Restore& restore;
  const TaskImage& image;
  TaskPlan& plan;
};

// One open file description to be made in the coordinator.
struct FileRestore {
  Restore& restore;
  FileId id;
  std::optional<int> open_flags;  // instead of the entry's own
};

}  // namespace cryo
