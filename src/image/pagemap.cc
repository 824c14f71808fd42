#include "image/pagemap.h"

#include <fmt/format.h>

#include <algorithm>

#include "pagemap.pb.h"
#include "sys/file.h"
#include "sys/memory.h"

namespace cryo {
namespace {

using sys::page_size;

// No task address and no segment offset of any architecture is above this.
constexpr uint64_t kTop = 1ULL << 63;
uint64_t end_of(const PageRun& run) { return run.vaddr + run.nr_pages * page_size(); }

Result<Pagemap::Run> check_run(const pb::pagemap_entry& entry, uint64_t previous_end,
                               const ImageCursor& cursor) {
  Pagemap::Run run;
  run.vaddr = entry.vaddr();
  // Since 4.2 the number is 64 bits wide and has a field of its own.
  run.nr_pages = entry.has_nr_pages() ? entry.nr_pages() : entry.compat_nr_pages();
  run.flags = entry.has_flags() ? entry.flags() : uint32_t{kPresent};
  if (entry.in_parent()) run.flags |= kInParent;
  if (run.vaddr % page_size() != 0)
    return cursor.bad(fmt::format("address {:#x} is not aligned", run.vaddr));
  if (run.vaddr >= kTop || run.nr_pages > (kTop - run.vaddr) / page_size()) {
    return cursor.bad(fmt::format("{} pages at {:#x} are out of range", run.nr_pages, run.vaddr));
  }
  if (run.vaddr < previous_end)
    return cursor.bad(fmt::format("address {:#x} is out of order", run.vaddr));
  // The page is in one place: CRIU never writes both, and a reader that skips parents would be off
  // in the pages file.
  if ((run.flags & kInParent) != 0 && (run.flags & kPresent) != 0 && entry.has_flags()) {
    return cursor.bad(fmt::format("flags {:#x} contradict each other", run.flags));
  }
  if ((run.flags & kInParent) != 0) run.flags &= ~uint32_t{kPresent};
  return run;
}

// Follows pagemaps from the newest to its ancestors, level by level: each level answers the runs
// that the level before did not have itself.
class Resolver {
 public:
  explicit Resolver(ImageName name) : name_(name) {}

  Result<void> level(const ImageReader& images, const Pagemap& map);
  bool finished() const { return wanted_.empty() && started_; }
  PageSources take() &&;

 private:
  Result<void> answer(const PageRun& want, const Pagemap& map, size_t& at);
  void emit(const PageRun& want, const Pagemap::Run& run, uint64_t from, uint64_t to);
  Result<void> open_pages(const ImageReader& images, const Pagemap& map);

  ImageName name_;
  bool started_ = false;
  bool uses_file_ = false;
  std::vector<PageRun> wanted_;  // ascending; the flags are those of the newest pagemap
  std::vector<PageRun> next_;
  PageSources sources_;
};

void Resolver::emit(const PageRun& want, const Pagemap::Run& run, uint64_t from, uint64_t to) {
  const uint64_t pages = (to - from) / page_size();
  if ((run.flags & kInParent) != 0) {
    next_.push_back({from, pages, want.flags});
    return;
  }
  PageSource source{from, pages, 0, PageSource::kNowhere, want.flags};
  if ((run.flags & kPresent) != 0) {
    source.file = static_cast<uint32_t>(sources_.files.size());
    source.offset = run.offset + (from - run.vaddr);
    uses_file_ = true;
  }
  sources_.runs.push_back(source);
}

Result<void> Resolver::answer(const PageRun& want, const Pagemap& map, size_t& at) {
  uint64_t from = want.vaddr;
  const uint64_t end = end_of(want);
  while (from < end) {
    while (at < map.runs.size() && end_of(map.runs[at]) <= from) ++at;
    if (at == map.runs.size() || map.runs[at].vaddr > from) {
      return Error::bad_image(fmt::format("{}: a parent should have the page at {:#x}, and has not",
                                          name_.file(), from));
    }
    const Pagemap::Run& run = map.runs[at];
    const bool nowhere = (run.flags & (kPresent | kInParent)) == 0;
    if (started_ && nowhere) {
      return Error::bad_image(fmt::format("{}: a parent has the page at {:#x} without its contents",
                                          name_.file(), from));
    }
    const uint64_t to = std::min(end, end_of(run));
    emit(want, run, from, to);
    from = to;
  }
  return {};
}

Result<void> Resolver::open_pages(const ImageReader& images, const Pagemap& map) {
  const ImageName name{ImageKind::pages, map.pages_id};
  std::optional<Fd> file = TRY(images.find_raw(name));
  if (!file)
    return Error::bad_image(
        fmt::format("{}: missing, but {} refers to it", name.file(), name_.file()));
  const struct stat st = TRY(sys::fstat(*file));
  if (static_cast<uint64_t>(st.st_size) < map.pages_size) {
    return Error::bad_image(fmt::format("{}: {} bytes, but {} needs {}", name.file(), st.st_size,
                                        name_.file(), map.pages_size));
  }
  sources_.files.push_back(std::move(*file));
  return {};
}

Result<void> Resolver::level(const ImageReader& images, const Pagemap& map) {
  if (!started_) wanted_.assign(map.runs.begin(), map.runs.end());
  uses_file_ = false;
  next_.clear();
  size_t at = 0;
  for (const PageRun& want : wanted_) TRY(answer(want, map, at));
  if (uses_file_) TRY(open_pages(images, map));
  wanted_.swap(next_);
  started_ = true;
  return {};
}

PageSources Resolver::take() && {
  std::ranges::sort(sources_.runs, {}, &PageSource::vaddr);
  return std::move(sources_);
}

}  // namespace

void PagemapWriter::add(const PageRun& run) {
  if (run.nr_pages == 0) return;
  if ((run.flags & kPresent) != 0) present_ += run.nr_pages;
  if (!runs_.empty()) {
    PageRun& last = runs_.back();
    CHECK(end_of(last) <= run.vaddr);
    if (end_of(last) == run.vaddr && last.flags == run.flags) {
      last.nr_pages += run.nr_pages;
      return;
    }
  }
  runs_.push_back(run);
}

uint64_t PagemapWriter::pages_size() const { return present_ * page_size(); }

Result<void> PagemapWriter::write(ImageWriter& images) const {
  pb::pagemap_head head;
  head.set_pages_id(pages_id_);
  TRY(images.append(name_, head));
  pb::pagemap_entry entry;
  for (const PageRun& run : runs_) {
    entry.set_vaddr(run.vaddr);
    entry.set_compat_nr_pages(0);  // required on the wire, although nr_pages has taken its place
    entry.set_flags(run.flags);
    entry.set_nr_pages(run.nr_pages);
    TRY(images.append(name_, entry));
  }
  return {};
}

Result<Pagemap> read_pagemap(ImageCursor cursor) {
  Pagemap map;
  pb::pagemap_head head;
  const bool has_head = TRY(cursor.next(head));
  if (!has_head) return cursor.bad("has no head");
  map.pages_id = head.pages_id();
  pb::pagemap_entry entry;
  uint64_t end = 0;
  while (true) {
    const bool more = TRY(cursor.next(entry));
    if (!more) return map;
    Pagemap::Run run = TRY(check_run(entry, end, cursor));
    end = end_of(run);
    run.offset = map.pages_size;
    if ((run.flags & kPresent) != 0) {
      const uint64_t bytes = run.nr_pages * page_size();
      if (bytes > kTop - map.pages_size) return cursor.bad("more pages than a file can hold");
      map.pages_size += bytes;
    }
    if (run.nr_pages != 0) map.runs.push_back(run);
  }
}

Result<std::optional<Pagemap>> read_pagemap(const ImageReader& images, ImageName name) {
  std::optional<ImageCursor> cursor = TRY(images.find(name));
  if (!cursor) return std::optional<Pagemap>();
  return std::optional<Pagemap>(TRY(read_pagemap(std::move(*cursor))));
}

Result<std::optional<PageSources>> resolve_pages(const ImageReader& images, ImageName name) {
  const std::optional<Pagemap> map = TRY(read_pagemap(images, name));
  if (!map) return std::optional<PageSources>();
  Resolver resolver(name);
  TRY(resolver.level(images, *map));
  std::optional<ImageReader> parent;
  for (unsigned depth = 1; !resolver.finished(); ++depth) {
    if (depth > kMaxParents)
      return Error::bad_image(fmt::format("{}: more than {} parents", name.file(), kMaxParents));
    const ImageReader& child = parent ? *parent : images;
    std::optional<ImageReader> above = TRY(child.parent());
    if (!above)
      return Error::bad_image(
          fmt::format("{}: pages are in a parent, but there is none", name.file()));
    parent.emplace(std::move(*above));
    const std::optional<Pagemap> parent_map =
        TRY_IN(read_pagemap(*parent, name), "reading parent {} of the images", depth);
    if (!parent_map) {
      return Error::bad_image(
          fmt::format("{}: pages are in parent {}, which has no such file", name.file(), depth));
    }
    TRY_IN(resolver.level(*parent, *parent_map), "following parent {} of the images", depth);
  }
  return std::optional<PageSources>(std::move(resolver).take());
}

}  // namespace cryo
