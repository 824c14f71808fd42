// Directories of images that were made to mislead: each must be refused, or do no harm, before anything exists.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "engine/restore.h"
#include "image/store.h"
#include "kinds/mm/vma_status.h"
#include "model/snapshot.h"
#include "sys/file.h"
#include "tests/fuzz/image_bundle.h"
#include "tests/harness/test_files.h"

namespace cryo {
namespace {

constexpr uint64_t kRawSize = 1U << 20U;

class HostileImages : public testing::Test {
 protected:
  void SetUp() override {
    const Result<std::string> seed =
        sys::read_file(sys::cwd(), CRYO_SOURCE_DIR "/src/engine/load_corpus/small_without_vdso");
    ASSERT_TRUE(seed);
    bundle_ = fuzz::parse_bundle(seed.value());
    ASSERT_TRUE(files_.make("images"));
  }

  // Changes the only entry of the image of a kind.
  template <class Pb, class Change>
  void change(ImageKind kind, Change change) {
    for (fuzz::BundledImage& image : bundle_) {
      if (image.name.kind != kind) continue;
      Pb entry;
      ASSERT_TRUE(decode(std::string_view(image.contents).substr(4), entry));
      change(entry);
      image.contents.clear();
      ASSERT_TRUE(encode_entry(entry, image.contents));
      return;
    }
    FAIL() << "no such image in the seed";
  }

  // The plan, or why there is none.
  std::string plan() {
    const Result<Fd> dir = sys::open(files_.path("images"), O_RDONLY | O_DIRECTORY);
    EXPECT_TRUE(dir);
    EXPECT_TRUE(fuzz::write_bundle(bundle_, dir.value(), kRawSize));
    Log log;
    Job job{.log = log, .images = dir.value(), .work = dir.value()};
    const Result<std::string> plan = explain_restore(RestoreOptions(), job);
    return plan ? plan.value() : plan.error().message();
  }

 private:
  fuzz::ImageBundle bundle_;
  live::TestFiles files_{live::current_test_name()};
};

constexpr const char* kMisplaced = "is misplaced";

pb::vma_entry mapping(uint64_t start, uint64_t end, uint32_t status) {
  pb::vma_entry vma;
  vma.set_start(start);
  vma.set_end(end);
  vma.set_pgoff(0);
  vma.set_shmid(0);
  vma.set_prot(0);
  vma.set_flags(0);
  vma.set_status(status);
  vma.set_fd(-1);
  return vma;
}

// Puts `vma` in front of all others.
void prepend(pb::mm_entry& mm, const pb::vma_entry& vma) {
  *mm.add_vmas() = vma;
  for (int i = mm.vmas_size() - 1; i > 0; --i) mm.mutable_vmas()->SwapElements(i, i - 1);
}

TEST_F(HostileImages, a_seed_of_the_fuzzer_is_planned) {
  EXPECT_NE(plan().find("mmap"), std::string::npos) << plan();
}

TEST_F(HostileImages, a_guard_region_that_ends_within_a_page) {
  change<pb::mm_entry>(ImageKind::mm, [](pb::mm_entry& mm) {
    prepend(mm, mapping(mm.vmas(0).start(), mm.vmas(0).start() + 1, kVmaGuard));
  });
  EXPECT_NE(plan().find(kMisplaced), std::string::npos) << plan();
}

// What is not ours to map takes no part in filling pages in.
TEST_F(HostileImages, a_vsyscall_page_that_is_everywhere) {
  change<pb::mm_entry>(ImageKind::mm, [](pb::mm_entry& mm) {
    prepend(mm, mapping(1, UINT64_MAX, kVmaVsyscall));
    prepend(mm, mapping(1, mm.vmas(1).start() + 1, kVmaVsyscall));
  });
  EXPECT_NE(plan().find("mmap"), std::string::npos) << plan();
}

TEST_F(HostileImages, a_mapping_beyond_all_addresses) {
  change<pb::mm_entry>(ImageKind::mm, [](pb::mm_entry& mm) {
    *mm.add_vmas() = mapping(uint64_t{1} << 62, uint64_t{1} << 63, kVmaRegular | kVmaAnonPrivate);
  });
  EXPECT_NE(plan().find(kMisplaced), std::string::npos) << plan();
}

}  // namespace
}  // namespace cryo
