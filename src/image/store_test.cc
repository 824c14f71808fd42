#include "image/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "core.pb.h"
#include "inventory.pb.h"
#include "pstree.pb.h"
#include "tests/harness/scratch_dir.h"

namespace cryo {
namespace {

constexpr ImageName kInventory{ImageKind::inventory};
constexpr ImageName kPstree{ImageKind::pstree};
constexpr ImageName kPages{ImageKind::pages, 1};

pb::inventory_entry inventory(uint32_t version = kImagesV1_1) {
  pb::inventory_entry entry;
  entry.set_img_version(version);
  return entry;
}

pb::pstree_entry process(uint32_t pid) {
  pb::pstree_entry entry;
  entry.set_pid(pid);
  entry.set_ppid(0);
  entry.set_pgid(pid);
  entry.set_sid(pid);
  entry.add_threads(pid);
  return entry;
}

ImageWriter writer(const ScratchDir& dir, ImageWriter::Mode mode = ImageWriter::Mode::checkpoint) {
  return ImageWriter::open(dir.open(), mode).value();
}

void write_checkpoint(const ScratchDir& dir, uint32_t pid) {
  ImageWriter images = writer(dir);
  ASSERT_TRUE(images.append(kInventory, inventory()));
  ASSERT_TRUE(images.append(kPstree, process(pid)));
  ASSERT_TRUE(std::move(images).commit());
}

TEST(ImageStore, what_was_appended_is_read_back) {
  const ScratchDir dir;
  ImageWriter images = writer(dir);
  ASSERT_TRUE(images.append(kInventory, inventory()));
  for (uint32_t pid = 1; pid <= 3; ++pid) ASSERT_TRUE(images.append(kPstree, process(pid)));
  images.create({ImageKind::filelocks});
  ASSERT_TRUE(std::move(images).commit());

  EXPECT_EQ(dir.list(), "filelocks.img inventory.img pstree.img");
  const ImageReader read = ImageReader::open(dir.open()).value();
  EXPECT_EQ(read.version(), kImagesV1_1);
  EXPECT_EQ(read.inventory().value().img_version(), kImagesV1_1);
  const auto processes = read.records<pb::pstree_entry>(kPstree).value();
  ASSERT_EQ(processes.size(), 3U);
  EXPECT_EQ(processes[2].pid(), 3U);
  EXPECT_TRUE(read.records<pb::pstree_entry>({ImageKind::filelocks}).value().empty());
}

TEST(ImageStore, an_absent_image_has_no_entries) {
  const ScratchDir dir;
  write_checkpoint(dir, 1);
  const ImageReader read = ImageReader::open(dir.open()).value();
  EXPECT_TRUE(read.records<pb::core_entry>({ImageKind::core, 5}).value().empty());
  EXPECT_FALSE(read.record<pb::core_entry>({ImageKind::core, 5}).value().has_value());
  EXPECT_FALSE(read.find_raw(kPages).value().has_value());
  EXPECT_EQ(read.require<pb::core_entry>({ImageKind::core, 5}).error().message(),
            "core-5.img: missing or empty");
}

// Both ways of writing: in place, and beside an older checkpoint.
TEST(ImageStore, without_commit_there_is_no_checkpoint_and_nothing_stays) {
  for (const char* before : {"", "inventory.img pages-1.img"}) {
    const ScratchDir dir;
    if (*before != 0) {
      dir.write("inventory.img", "old");
      dir.write("pages-1.img", "old");
    }
    {
      ImageWriter images = writer(dir);
      ASSERT_TRUE(images.append(kInventory, inventory()));
      const Fd pages = images.open_raw(kPages).value();
      ASSERT_TRUE(sys::write_all(pages, "page"));
      images.link_parent("../before");
      EXPECT_EQ(dir.has("inventory.img"), *before != 0);
      EXPECT_FALSE(dir.has("parent"));
    }
    EXPECT_EQ(dir.list(), before);
    if (*before != 0) {
      EXPECT_EQ(dir.read("pages-1.img"), "old");
    }
  }
}

TEST(ImageStore, a_failed_dump_leaves_the_older_checkpoint_alone) {
  const ScratchDir dir;
  write_checkpoint(dir, 7);
  {
    ImageWriter images = writer(dir);
    ASSERT_TRUE(images.append(kPstree, process(8)));
    ASSERT_TRUE(images.open_raw(kPages));
  }
  const ImageReader read = ImageReader::open(dir.open()).value();
  EXPECT_EQ(read.require<pb::pstree_entry>(kPstree).value().pid(), 7U);
}

TEST(ImageStore, a_checkpoint_replaces_every_image_of_the_one_before_and_nothing_else) {
  const ScratchDir dir;
  for (const char* old : {"core-9.img", "ghost-file-a.img", "pages-3.img", "filelocks.img",
                          "dump.log", "cpuinfo.img", "stats-dump", "descriptors.json"}) {
    dir.write(old, "old");
  }
  write_checkpoint(dir, 1);
  EXPECT_EQ(dir.list(),
            "cpuinfo.img descriptors.json dump.log inventory.img pstree.img stats-dump");
}

TEST(ImageStore, images_that_the_page_server_added_meanwhile_stay) {
  const ScratchDir dir;
  dir.write("pages-1.img", "old");
  ImageWriter images = writer(dir);
  ASSERT_TRUE(images.append(kInventory, inventory()));
  {
    ImageWriter server = writer(dir, ImageWriter::Mode::parts);
    ASSERT_TRUE(server.append_raw(kPages, "new"));
    ASSERT_TRUE(std::move(server).commit());
  }
  ASSERT_TRUE(std::move(images).commit());
  EXPECT_EQ(dir.list(), "inventory.img pages-1.img");
  EXPECT_EQ(dir.read("pages-1.img"), "new");
}

TEST(ImageStore, parts_leave_what_is_there) {
  const ScratchDir dir;
  write_checkpoint(dir, 1);
  ImageWriter server = writer(dir, ImageWriter::Mode::parts);
  ASSERT_TRUE(server.append_raw(kPages, "new"));
  ASSERT_TRUE(std::move(server).commit());
  EXPECT_EQ(dir.list(), "inventory.img pages-1.img pstree.img");
}

TEST(ImageStore, what_a_killed_dump_left_is_removed_by_the_next) {
  for (const bool over_older : {false, true}) {
    const ScratchDir dir;
    if (over_older) write_checkpoint(dir, 7);
    const pid_t child = ::fork();
    if (child == 0) {
      ImageWriter images = writer(dir);
      if (images.open_raw(kPages)) (void)::raise(SIGKILL);
      ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_NE(dir.list().find("pages-1.img"), std::string::npos);
    EXPECT_EQ(bool(ImageReader::open(dir.open())), over_older);
    write_checkpoint(dir, 1);
    EXPECT_EQ(dir.list(), "inventory.img pstree.img");
  }
}

TEST(ImageStore, two_writers_do_not_take_each_other_for_leftovers) {
  const ScratchDir dir;
  ImageWriter first = writer(dir);
  ASSERT_TRUE(first.append_raw(kPages, "first"));
  ImageWriter second = writer(dir, ImageWriter::Mode::parts);
  ASSERT_TRUE(second.append_raw({ImageKind::pages, 2}, "second"));
  ASSERT_TRUE(first.append(kInventory, inventory()));
  ASSERT_TRUE(std::move(first).commit());
  ASSERT_TRUE(std::move(second).commit());
  EXPECT_EQ(dir.list(), "inventory.img pages-1.img pages-2.img");
}

TEST(ImageStore, large_contents_are_written_behind_the_entries) {
  const ScratchDir dir;
  ImageWriter images = writer(dir);
  ASSERT_TRUE(images.append(kInventory, inventory()));
  const ImageName tree{ImageKind::pstree};
  ASSERT_TRUE(images.append(tree, process(1)));
  const Fd fd = images.open_raw(tree).value();
  ASSERT_TRUE(sys::write_all(fd, "tail"));
  ASSERT_TRUE(std::move(images).commit());

  const ImageReader read = ImageReader::open(dir.open()).value();
  ImageCursor cursor = read.find(tree).value().value();
  pb::pstree_entry entry;
  ASSERT_TRUE(cursor.next(entry).value());
  const ImageCursor::Extent extent = cursor.extent_to_end().value();
  EXPECT_EQ(extent.size, 4U);
  EXPECT_EQ(dir.read("pstree.img").substr(extent.offset), "tail");
}

TEST(ImageStore, files_obey_the_umask) {
  const ScratchDir dir;
  const mode_t before = ::umask(0027);
  write_checkpoint(dir, 1);
  (void)::umask(before);
  EXPECT_EQ(sys::fstatat(dir.open(), "pstree.img").value().st_mode, S_IFREG | 0640U);
}

TEST(ImageStore, a_message_without_required_fields_is_not_written) {
  const ScratchDir dir;
  ImageWriter images = writer(dir);
  const Result<void> appended = images.append(kPstree, pb::pstree_entry());
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().kind(), ErrorKind::bug);
  EXPECT_EQ(appended.error().message(), "a pstree_entry without all its required fields");
}

TEST(ImageStore, the_inventory_decides_about_the_version) {
  const ScratchDir dir;
  std::string bytes = image_head(ImageKind::inventory);
  ASSERT_TRUE(encode_entry(inventory(kImagesV1), bytes));
  dir.write("inventory.img", bytes);
  bytes = image_head(ImageKind::pstree).substr(4);
  ASSERT_TRUE(encode_entry(process(5), bytes));
  dir.write("pstree.img", bytes);
  EXPECT_EQ(ImageReader::open(dir.open()).value().require<pb::pstree_entry>(kPstree).value().pid(),
            5U);

  bytes = image_head(ImageKind::inventory);
  ASSERT_TRUE(encode_entry(inventory(3), bytes));
  dir.write("inventory.img", bytes);
  EXPECT_EQ(ImageReader::open(dir.open()).error().message(),
            "inventory.img: images of version 3, which is not supported");
}

TEST(ImageStore, only_regular_files_are_images) {
  const ScratchDir dir;
  write_checkpoint(dir, 1);
  const ImageReader read = ImageReader::open(dir.open()).value();
  ASSERT_EQ(::mkfifo((dir.path() / "seccomp.img").c_str(), 0600), 0);
  EXPECT_EQ(read.find({ImageKind::seccomp}).error().message(), "seccomp.img: not a regular file");
  ASSERT_TRUE(sys::symlinkat("/etc/passwd", dir.open(), "pages-1.img"));
  EXPECT_EQ(read.find_raw(kPages).error().message(), "pages-1.img: a symbolic link");
}

TEST(ImageStore, the_parent_is_behind_a_link) {
  const ScratchDir dir;
  std::filesystem::create_directory(dir.path() / "first");
  std::filesystem::create_directory(dir.path() / "second");
  const Fd first = sys::openat(dir.open(), "first", O_DIRECTORY).value();
  const Fd second = sys::openat(dir.open(), "second", O_DIRECTORY).value();
  for (const Fd* at : {&first, &second}) {
    ImageWriter images = ImageWriter::open(*at, ImageWriter::Mode::checkpoint).value();
    ASSERT_TRUE(images.append(kInventory, inventory()));
    ASSERT_TRUE(images.append(kPstree, process(at == &first ? 1 : 2)));
    if (at == &second) images.link_parent("../first");
    ASSERT_TRUE(std::move(images).commit());
  }
  const ImageReader read = ImageReader::open(sys::openat(second, ".", O_DIRECTORY).value()).value();
  const ImageReader parent = read.parent().value().value();
  EXPECT_EQ(parent.require<pb::pstree_entry>(kPstree).value().pid(), 1U);
  EXPECT_FALSE(parent.parent().value().has_value());
}

TEST(ImageStore, statistics_are_a_file_of_the_work_directory) {
  const ScratchDir dir;
  pb::inventory_entry any = inventory();
  ASSERT_TRUE(write_service_image(dir.open(), ImageKind::stats_dump, any));
  const ImageReader read = ImageReader::open(dir.open(), ImageReader::Need::parts).value();
  EXPECT_EQ(read.require<pb::inventory_entry>({ImageKind::stats_dump}).value().img_version(),
            kImagesV1_1);
}

}  // namespace
}  // namespace cryo
