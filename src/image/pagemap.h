// pagemap-*.img and pages-*.img: which pages of an address space or shared segment were dumped, and
// where their contents are.
//
// A pagemap is a list of runs in ascending order. The pages file is the concatenation of the runs
// that are present, in that order. A run with kInParent has its contents in the images that the
// link `parent` leads to, where it may be spread over several runs and further parents. A page in
// no run was never touched.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "image/store.h"

namespace cryo {

enum PageFlags : uint32_t {
  kInParent = 1,
  kLazy = 2,  // may be filled on first access; without kPresent only a page server has it
  kPresent = 4,
};

struct PageRun {
  uint64_t vaddr = 0;  // in a shared segment: the offset
  uint64_t nr_pages = 0;
  uint32_t flags = 0;
};

// Collects the runs of one pagemap.
class PagemapWriter {
 public:
  PagemapWriter(ImageName name, uint32_t pages_id) : name_(name), pages_id_(pages_id) {}

  // Ascending. A run that continues the one before with the same flags becomes part of it.
  void add(const PageRun& run);
  // Where the contents of the next present run go in the pages file.
  uint64_t pages_size() const;
  const std::vector<PageRun>& runs() const { return runs_; }
  Result<void> write(ImageWriter& images) const;

 private:
  ImageName name_;
  uint32_t pages_id_;
  uint64_t present_ = 0;
  std::vector<PageRun> runs_;
};

// One pagemap as it is in its file, checked: runs are aligned, in range, ascending and disjoint.
struct Pagemap {
  struct Run : PageRun {
    uint64_t offset = 0;  // of present runs, in the pages file
  };
  uint32_t pages_id = 0;
  uint64_t pages_size = 0;  // least size of the pages file
  std::vector<Run> runs;
};
Result<Pagemap> read_pagemap(ImageCursor cursor);
// None when there is no such file.
Result<std::optional<Pagemap>> read_pagemap(const ImageReader& images, ImageName name);

// Pre-dump chains are tens long. A loop of links would otherwise never end.
constexpr unsigned kMaxParents = 1024;

// Where the contents of dumped pages are, after following the parents.
struct PageSource {
  static constexpr uint32_t kNowhere = ~0U;  // a lazy page that only a page server has
  uint64_t vaddr = 0;
  uint64_t nr_pages = 0;
  uint64_t offset = 0;  // in files[file]
  uint32_t file = kNowhere;
  uint32_t flags = 0;  // of the run in the newest pagemap
};
struct PageSources {
  std::vector<PageSource> runs;  // ascending and disjoint
  std::vector<Fd> files;         // pages files, large enough for every run that refers to them
};
// None when there is no such file. Fails when a parent lacks a page or a pages file is too short.
Result<std::optional<PageSources>> resolve_pages(const ImageReader& images, ImageName name);

}  // namespace cryo
