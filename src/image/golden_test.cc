// Images that CRIU 4.2 wrote (testdata/): decoding and encoding gives the same bytes.
// testdata/README.md says how they were made.
#include <gtest/gtest.h>

#include <set>

#include "fdinfo.pb.h"
#include "image/pagemap.h"
#include "image/schema.h"
#include "image/store.h"
#include "sys/memory.h"
#include "tests/harness/scratch_dir.h"

namespace cryo {
namespace {

const std::filesystem::path kTestdata =
    std::filesystem::path(CRYO_SOURCE_DIR) / "src/image/testdata";

struct GoldenFile {
  std::filesystem::path path;
  ImageName name;
  std::string bytes;
};

std::vector<GoldenFile> golden_files() {
  std::vector<GoldenFile> files;
  for (const auto& found : std::filesystem::recursive_directory_iterator(kTestdata)) {
    const std::optional<ImageName> name = parse_image_name(found.path().filename().string());
    if (!name) continue;
    std::ifstream in(found.path(), std::ios::binary);
    files.push_back({found.path(), *name, std::string(std::istreambuf_iterator<char>(in), {})});
  }
  return files;
}

Result<std::string> encoded_again(const GoldenFile& file) {
  std::string out = image_head(file.name.kind);
  const ImageVisitor visitor{
      [&](const google::protobuf::MessageLite& message) { return encode_entry(message, out); },
      [&](std::string_view bytes) {
        out.append(bytes);
        return Result<void>();
      },
  };
  ImageCursor cursor = TRY(ImageCursor::over(file.bytes, file.name, kImagesV1_1));
  TRY(visit_image(std::move(cursor), visitor));
  return out;
}

TEST(ImageGolden, decoding_and_encoding_gives_the_same_bytes) {
  std::set<ImageKind> seen;
  for (const GoldenFile& file : golden_files()) {
    const Result<std::string> again = encoded_again(file);
    ASSERT_TRUE(again) << file.path << ": " << again.error().to_string();
    EXPECT_TRUE(again.value() == file.bytes) << file.path;
    seen.insert(file.name.kind);
  }
  EXPECT_GT(seen.size(), 35U);
}

TEST(ImageGolden, pagemaps_are_written_as_criu_does) {
  if (sys::page_size() != 4096) GTEST_SKIP() << "the images have pages of 4096 bytes";
  for (const GoldenFile& file : golden_files()) {
    if (file.name.kind != ImageKind::pagemap && file.name.kind != ImageKind::pagemap_shmem)
      continue;
    const Pagemap map =
        read_pagemap(ImageCursor::over(file.bytes, file.name, kImagesV1_1).value()).value();
    PagemapWriter pages(file.name, map.pages_id);
    for (const Pagemap::Run& run : map.runs) pages.add(run);
    const ScratchDir dir;
    ImageWriter images = ImageWriter::open(dir.open(), ImageWriter::Mode::parts).value();
    ASSERT_TRUE(pages.write(images));
    ASSERT_TRUE(std::move(images).commit());
    EXPECT_TRUE(dir.read(file.name.file()) == file.bytes) << file.path;
    EXPECT_EQ(pages.pages_size(), map.pages_size);
  }
}

TEST(ImageGolden, damaged_images_are_read_or_refused) {
  const ImageVisitor visitor{
      [](const google::protobuf::MessageLite&) { return Result<void>(); },
      [](std::string_view) { return Result<void>(); },
  };
  const auto read = [&](const GoldenFile& file, std::string bytes) {
    Result<ImageCursor> cursor = ImageCursor::over(std::move(bytes), file.name, kImagesV1_1);
    const Result<void> visited = cursor ? visit_image(std::move(cursor).value(), visitor)
                                        : Result<void>(std::move(cursor).error());
    EXPECT_TRUE(visited || visited.error().kind() == ErrorKind::bad_image) << file.path;
  };
  for (const GoldenFile& file : golden_files()) {
    const size_t size = std::min<size_t>(file.bytes.size(), 2048);
    for (size_t at = 0; at < size; ++at) {
      read(file, file.bytes.substr(0, at));
      std::string damaged = file.bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
      read(file, std::move(damaged));
    }
  }
}

}  // namespace
}  // namespace cryo
