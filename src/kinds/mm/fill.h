// Brings page contents back into the mappings of a half-made task.
//
// A little is read in place by the task (preadv). For much, two work at it, the task's puppet and the coordinator,
// and fresh memory is filled through a userfaultfd: a call makes many pages at once with their contents, where
// preadv takes a page fault and a zeroing for each (measured: two thirds of the time). Where huge pages are
// wanted, the page fault of the first write makes one, so there the contents are just written.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <vector>

#include "image/pagemap.h"
#include "plan/restore.h"
#include "puppet/injection.h"

namespace cryo {

class PageFill {
 public:
  // `fds` are the numbers under which the task and the coordinator have the pages files.
  explicit PageFill(std::vector<int> fds) : fds_(std::move(fds)) {}

  // Whole mappings (a part would be split off) in which there will be fresh pages, and nothing but these until they
  // are there. Ascending.
  void expect_fresh(uint64_t start, uint64_t end);
  // `fresh`: anonymous memory of 4 KiB pages, of which there are none yet. Ascending.
  void add(const PageSource& run, bool fresh);
  // Appends to the phases of the plan.
  static void plan(std::shared_ptr<PageFill> fill, TaskRestore& task);

 private:
  // Consecutive in its file.
  struct Chunk {
    uint64_t offset = 0, size = 0;
    size_t first = 0, count = 0;  // of pieces_
    uint32_t file = 0;
    bool fresh = false;
  };
  struct Worker;
  std::span<const iovec> pieces(const Chunk& chunk) const {
    return std::span(pieces_).subspan(chunk.first, chunk.count);
  }
  void plan_reads(Batch& batch) const;
  Result<void> perform(TaskStage& stage);
  Batch batch(const Worker& worker, size_t first, size_t most, size_t& taken) const;
  Result<void> copy(Worker& worker, const Chunk& chunk) const;

  std::vector<int> fds_;
  std::vector<AddressRange> fresh_;
  std::vector<iovec> pieces_;
  std::vector<Chunk> chunks_;
  std::function<void(const Progress&)> progress_;
  uint64_t size_ = 0;
};

}  // namespace cryo
