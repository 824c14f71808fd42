#include "tests/fuzz/wire_mutation.h"

#include <gtest/gtest.h>

#include <cstring>

#include "image/store.h"
#include "pstree.pb.h"

namespace cryo::fuzz {
namespace {

ImageBundle process_tree() {
  pb::pstree_entry node;
  node.set_pid(100);
  node.set_ppid(0);
  node.set_pgid(100);
  node.set_sid(100);
  node.add_threads(100);
  const std::string message = node.SerializeAsString();
  const auto size = static_cast<uint32_t>(message.size());
  std::string contents(reinterpret_cast<const char*>(&size), sizeof(size));
  return {{{ImageKind::pstree, 0}, contents + message}, {{ImageKind::pages, 7}, "raw"}};
}

TEST(ImageBundle, is_read_as_it_was_written) {
  const std::string bytes = format_bundle(process_tree());
  const ImageBundle again = parse_bundle(bytes);
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again[1].name, (ImageName{ImageKind::pages, 7}));
  EXPECT_EQ(format_bundle(again), bytes);
}

TEST(ImageBundle, may_end_anywhere) {
  const std::string bytes = format_bundle(process_tree());
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_LE(parse_bundle(std::string_view(bytes).substr(0, size)).size(), 2U);
}

// Whether entries fill the contents to their end.
bool is_framed(std::string_view contents) {
  uint32_t size = 0;
  while (contents.size() >= sizeof(size)) {
    std::memcpy(&size, contents.data(), sizeof(size));
    if (size > contents.size() - sizeof(size)) return false;
    contents.remove_prefix(sizeof(size) + size);
  }
  return contents.empty();
}

TEST(BundleMutator, changes_what_entries_say_and_keeps_their_framing) {
  size_t changed = 0, readable = 0;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    BundleMutator::Random random(seed);
    ImageBundle bundle = process_tree();
    BundleMutator(random, [](std::string&) {}).mutate(bundle);
    if (format_bundle(bundle) != format_bundle(process_tree())) ++changed;
    for (const BundledImage& image : bundle) {
      if (image.name.kind != ImageKind::pstree) continue;
      EXPECT_TRUE(is_framed(image.contents)) << "seed " << seed;
      Result<ImageCursor> cursor = ImageCursor::over(image_head(ImageKind::pstree) + image.contents,
                                                     image.name, kImagesV1_1);
      ASSERT_TRUE(cursor);
      pb::pstree_entry entry;
      const Result<bool> read = cursor.value().next(entry);
      if (read && read.value()) ++readable;
    }
  }
  EXPECT_GT(changed, 200U);
  EXPECT_GT(readable, 100U);
}

}  // namespace
}  // namespace cryo::fuzz
