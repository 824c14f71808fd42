#include "image/pagemap.h"

#include <gtest/gtest.h>

#include "inventory.pb.h"
#include "pagemap.pb.h"
#include "sys/memory.h"
#include "tests/harness/scratch_dir.h"

namespace cryo {
namespace {

constexpr ImageName kName{ImageKind::pagemap, 1};
const uint64_t kPage = sys::page_size();

PageRun pages(uint64_t first, uint64_t nr, uint32_t flags = kPresent) {
  return {first * kPage, nr, flags};
}

std::string text_of(const PageSources& sources) {
  std::string text;
  for (const PageSource& run : sources.runs) {
    text += fmt::format("{}+{}", run.vaddr / kPage, run.nr_pages);
    if (run.file == PageSource::kNowhere) {
      text += "=lazy ";
    } else {
      text += fmt::format("={}:{} ", run.file, run.offset / kPage);
    }
  }
  return text;
}

// One directory of a chain. Its pages file is as long as its pagemap says.
void write_images(const std::filesystem::path& path, const std::vector<PageRun>& runs,
                  const char* parent = nullptr) {
  std::filesystem::create_directories(path);
  ImageWriter images = ImageWriter::open(sys::open(path.string(), O_DIRECTORY).value(),
                                         ImageWriter::Mode::checkpoint)
                           .value();
  pb::inventory_entry inventory;
  inventory.set_img_version(kImagesV1_1);
  ASSERT_TRUE(images.append({ImageKind::inventory}, inventory));
  PagemapWriter map(kName, 7);
  for (const PageRun& run : runs) map.add(run);
  ASSERT_TRUE(map.write(images));
  const Fd file = images.open_raw({ImageKind::pages, 7}).value();
  ASSERT_TRUE(sys::ftruncate(file, map.pages_size()));
  if (parent != nullptr) images.link_parent(parent);
  ASSERT_TRUE(std::move(images).commit());
}

Result<std::string> resolved(const std::filesystem::path& path) {
  Fd dir = TRY(sys::open(path.string(), O_DIRECTORY));
  const ImageReader images = TRY(ImageReader::open(std::move(dir)));
  const std::optional<PageSources> sources = TRY(resolve_pages(images, kName));
  return sources ? text_of(*sources) : std::string("none");
}

Result<Pagemap> parse(const std::vector<pb::pagemap_entry>& entries) {
  std::string bytes = image_head(kName.kind);
  pb::pagemap_head head;
  head.set_pages_id(1);
  TRY(encode_entry(head, bytes));
  for (const pb::pagemap_entry& entry : entries) TRY(encode_entry(entry, bytes));
  return read_pagemap(TRY(ImageCursor::over(bytes, kName, kImagesV1_1)));
}

pb::pagemap_entry entry(uint64_t vaddr, uint64_t nr_pages, uint32_t flags = kPresent) {
  pb::pagemap_entry e;
  e.set_vaddr(vaddr);
  e.set_compat_nr_pages(0);
  e.set_flags(flags);
  e.set_nr_pages(nr_pages);
  return e;
}

std::string error_of(const std::vector<pb::pagemap_entry>& entries) {
  const Result<Pagemap> map = parse(entries);
  return map ? "" : map.error().message();
}

TEST(ImagePagemap, runs_that_continue_each_other_become_one) {
  PagemapWriter map(kName, 1);
  for (const PageRun& run : {pages(1, 1), pages(2, 3), pages(5, 1, kPresent | kLazy), pages(7, 1),
                             pages(8, 0), pages(8, 2)}) {
    map.add(run);
  }
  ASSERT_EQ(map.runs().size(), 3U);
  EXPECT_EQ(map.runs()[0].nr_pages, 4U);
  EXPECT_EQ(map.runs()[2].nr_pages, 3U);
  EXPECT_EQ(map.pages_size(), 8 * kPage);
}

TEST(ImagePagemap, older_entries_mean_what_they_meant) {
  pb::pagemap_entry plain;
  plain.set_vaddr(kPage);
  plain.set_compat_nr_pages(3);
  pb::pagemap_entry in_parent = plain;
  in_parent.set_vaddr(8 * kPage);
  in_parent.set_in_parent(true);
  const Pagemap map = parse({plain, in_parent}).value();
  ASSERT_EQ(map.runs.size(), 2U);
  EXPECT_EQ(map.runs[0].nr_pages, 3U);
  EXPECT_EQ(map.runs[0].flags, kPresent);
  EXPECT_EQ(map.runs[1].flags, kInParent);
  EXPECT_EQ(map.pages_size, 3 * kPage);
}

TEST(ImagePagemap, damaged_runs_are_refused) {
  EXPECT_EQ(error_of({entry(kPage, 1), entry(2 * kPage, 1)}), "");
  EXPECT_EQ(error_of({entry(12345, 1)}), "pagemap-1.img, entry 1: address 0x3039 is not aligned");
  EXPECT_NE(error_of({entry(kPage, 2), entry(2 * kPage, 1)}).find("entry 2: address"),
            std::string::npos);
  EXPECT_NE(error_of({entry(2 * kPage, 1), entry(kPage, 1)}).find("out of order"),
            std::string::npos);
  EXPECT_NE(error_of({entry(kPage, ~0ULL)}).find("out of range"), std::string::npos);
  EXPECT_NE(error_of({entry(kPage, 1ULL << 52)}).find("out of range"), std::string::npos);
  EXPECT_NE(error_of({entry(~0ULL - kPage + 1, 1)}).find("out of range"), std::string::npos);
  EXPECT_NE(error_of({entry(kPage, 1, kPresent | kInParent)}).find("contradict"),
            std::string::npos);
}

TEST(ImagePagemap, pages_are_found_through_the_parents) {
  const ScratchDir dir;
  write_images(dir.path() / "1", {pages(10, 10)});
  write_images(dir.path() / "2", {pages(10, 2, kInParent), pages(12, 3), pages(15, 5, kInParent)},
               "../1");
  write_images(dir.path() / "3",
               {pages(5, 1), pages(10, 8, kInParent), pages(18, 1), pages(30, 2, kLazy)}, "../2");
  EXPECT_EQ(resolved(dir.path() / "3").value(),
            "5+1=0:0 10+2=2:0 12+3=1:0 15+3=2:5 18+1=0:1 30+2=lazy ");
}

TEST(ImagePagemap, parents_are_not_read_when_nothing_is_in_them) {
  const ScratchDir dir;
  write_images(dir.path() / "1", {pages(1, 1)}, "../gone");
  EXPECT_EQ(resolved(dir.path() / "1").value(), "1+1=0:0 ");
}

TEST(ImagePagemap, a_page_that_no_parent_has_is_an_error) {
  const ScratchDir dir;
  write_images(dir.path() / "1", {pages(10, 2), pages(13, 1)});
  write_images(dir.path() / "2", {pages(10, 4, kInParent)}, "../1");
  EXPECT_EQ(resolved(dir.path() / "2").error().message(),
            fmt::format("pagemap-1.img: a parent should have the page at {:#x}, and has not",
                        12 * kPage));
  write_images(dir.path() / "3", {pages(10, 4, kInParent)});
  EXPECT_EQ(resolved(dir.path() / "3").error().message(),
            "pagemap-1.img: pages are in a parent, but there is none");
}

TEST(ImagePagemap, a_loop_of_parents_ends) {
  const ScratchDir dir;
  write_images(dir.path() / "1", {pages(10, 1, kInParent)}, "../2");
  write_images(dir.path() / "2", {pages(10, 1, kInParent)}, "../1");
  EXPECT_EQ(resolved(dir.path() / "1").error().message(), "pagemap-1.img: more than 1024 parents");
}

TEST(ImagePagemap, a_short_pages_file_is_an_error) {
  const ScratchDir dir;
  write_images(dir.path() / "1", {pages(10, 4)});
  std::filesystem::resize_file(dir.path() / "1/pages-7.img", 4 * kPage - 1);
  EXPECT_EQ(
      resolved(dir.path() / "1").error().message(),
      fmt::format("pages-7.img: {} bytes, but pagemap-1.img needs {}", 4 * kPage - 1, 4 * kPage));
  std::filesystem::remove(dir.path() / "1/pages-7.img");
  EXPECT_EQ(resolved(dir.path() / "1").error().message(),
            "pages-7.img: missing, but pagemap-1.img refers to it");
}

TEST(ImagePagemap, an_absent_pagemap_is_none) {
  const ScratchDir dir;
  write_images(dir.path() / "1", {});
  EXPECT_EQ(resolved(dir.path() / "1").value(), "");
  std::filesystem::remove(dir.path() / "1/pagemap-1.img");
  EXPECT_EQ(resolved(dir.path() / "1").value(), "none");
}

}  // namespace
}  // namespace cryo
