#include "image/magic.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace cryo {
namespace {

TEST(ImageMagic, names_are_those_of_criu) {
  EXPECT_EQ((ImageName{ImageKind::inventory}.file()), "inventory.img");
  EXPECT_EQ((ImageName{ImageKind::core, 4711}.file()), "core-4711.img");
  EXPECT_EQ((ImageName{ImageKind::ghost_file, 0x1f}.file()), "ghost-file-1f.img");
  EXPECT_EQ((ImageName{ImageKind::tcp_stream, 0xabc}.file()), "tcp-stream-abc.img");
  EXPECT_EQ((ImageName{ImageKind::tmpfs_dev, 71}.file()), "tmpfs-dev-71.tar.gz.img");
  EXPECT_EQ((ImageName{ImageKind::pagemap_shmem, ~0ULL}.file()),
            "pagemap-shmem-18446744073709551615.img");
  EXPECT_EQ((ImageName{ImageKind::stats_dump}.file()), "stats-dump");
}

TEST(ImageMagic, every_name_is_parsed_back) {
  for (const ImageFormat& f : image_formats()) {
    const bool numbered = std::string_view(f.pattern).find('%') != std::string_view::npos;
    const ImageName name{f.kind, numbered ? 0x123abcULL : 0};
    EXPECT_EQ(parse_image_name(name.file()), name) << name.file();
  }
}

TEST(ImageMagic, other_names_are_no_images) {
  for (const char* file :
       {"", "core-.img", "core--1.img", "core-+1.img", "core-01.img", "core-1x.img", "core-1.img~",
        "core-99999999999999999999.img", "ghost-file-G.img", "dump.log", "parent",
        "descriptors.json", "inventory.img.bak", "core-1.img/..", "core-img", "pages-.img"}) {
    EXPECT_FALSE(parse_image_name(file)) << file;
  }
}

TEST(ImageMagic, magics_are_unique_except_where_the_format_shares_them) {
  std::map<uint32_t, std::set<ImageKind>> kinds;
  for (const ImageFormat& f : image_formats()) {
    EXPECT_EQ(f.magic == 0, f.framing == Framing::raw) << f.pattern;
    if (f.magic != 0) kinds[f.magic].insert(f.kind);
  }
  kinds.erase(0x56084025);  // pagemap
  kinds.erase(0x57093306);  // stats
  kinds.erase(0x67343323);  // binfmt-misc
  kinds.erase(0x59255647);  // signals
  for (const auto& [magic, of] : kinds) EXPECT_EQ(of.size(), 1U) << std::hex << magic;
}

}  // namespace
}  // namespace cryo
