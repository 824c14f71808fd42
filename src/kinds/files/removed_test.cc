#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

std::string link_text(const std::string& link) {
  char text[4096] = {};
  const ssize_t size = readlink(link.c_str(), text, sizeof text);
  return std::string(text, size > 0 ? static_cast<size_t>(size) : 0);
}

std::string name_of(int fd) { return link_text("/proc/self/fd/" + std::to_string(fd)); }

int make(const char* name, const std::string& text) {
  const int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0604);
  EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

std::string contents(int fd) {
  std::string text(1 << 16, 0);
  const ssize_t size = pread(fd, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

size_t names_here() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("."), {}));
}

CHECKPOINT_TEST(RemovedFile, keeps_contents_and_attributes) {
  const int fd = make("gone", "some text");
  ASSERT_EQ(fchown(fd, 12, 34), 0);
  ASSERT_EQ(fchmod(fd, 04711), 0);
  const timespec times[2] = {{1000, 5000}, {2000, 7000}};
  ASSERT_EQ(futimens(fd, times), 0);
  const int again = open("gone", O_RDONLY);
  ASSERT_EQ(lseek(again, 5, SEEK_SET), 5);
  ASSERT_EQ(unlink("gone"), 0);
  const std::string name = name_of(fd);
  checkpoint();
  EXPECT_EQ(name_of(fd), name);
  EXPECT_EQ(names_here(), 0u);
  struct stat st {
  }, st_again{};
  ASSERT_EQ(fstat(fd, &st), 0);
  ASSERT_EQ(fstat(again, &st_again), 0);
  EXPECT_EQ(st.st_ino, st_again.st_ino);
  EXPECT_EQ(st.st_nlink, 0u);
  EXPECT_EQ(st.st_uid, 12u);
  EXPECT_EQ(st.st_gid, 34u);
  EXPECT_EQ(st.st_mode, S_IFREG | 04711u);
  EXPECT_EQ(st.st_mtim.tv_sec, 2000);
  EXPECT_EQ(st.st_mtim.tv_nsec, 7000);
  EXPECT_EQ(st.st_atim.tv_sec, 1000);
  EXPECT_EQ(lseek(again, 0, SEEK_CUR), 5);
  EXPECT_EQ(contents(again), "some text");
  EXPECT_EQ(pwrite(fd, "S", 1, 0), 1);
  EXPECT_EQ(contents(again), "Some text");
}

CHECKPOINT_TEST(RemovedFile, keeps_holes) {
  const int fd = make("sparse", "begin");
  ASSERT_EQ(ftruncate(fd, 64 << 20), 0);
  ASSERT_EQ(pwrite(fd, "middle", 6, 32 << 20), 6);
  ASSERT_EQ(unlink("sparse"), 0);
  checkpoint();
  struct stat st {};
  ASSERT_EQ(fstat(fd, &st), 0);
  EXPECT_EQ(st.st_size, 64 << 20);
  EXPECT_LE(st.st_blocks, 64);
  char text[7] = {};
  EXPECT_EQ(pread(fd, text, 6, 32 << 20), 6);
  EXPECT_STREQ(text, "middle");
}

CHECKPOINT_TEST(RemovedFile, is_one_file_under_all_its_old_names) {
  const int a = make("a", "shared");
  ASSERT_EQ(link("a", "b"), 0);
  const int b = open("b", O_RDONLY);
  void* mapped = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, a, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  unlink("a");
  unlink("b");
  const std::string name_a = name_of(a);
  const std::string name_b = name_of(b);
  checkpoint();
  EXPECT_EQ(name_of(a), name_a);
  EXPECT_EQ(name_of(b), name_b);
  EXPECT_EQ(pwrite(a, "SH", 2, 0), 2);
  EXPECT_EQ(contents(b), "SHared");
  EXPECT_EQ(memcmp(mapped, "SHared", 6), 0);
}

CHECKPOINT_TEST(RemovedFile, leaves_its_successor_alone,
                proc_differs({"fd"},
                             "a file of its old name is there, so it gets a name beside it")) {
  const int old = make("file", "old contents");
  unlink("file");
  const int fresh = make("file", "new");
  checkpoint();
  EXPECT_EQ(contents(old), "old contents");
  EXPECT_EQ(contents(fresh), "new");
  EXPECT_TRUE(name_of(old).ends_with(" (deleted)"));
  struct stat st {};
  EXPECT_EQ(fstat(old, &st), 0);
  EXPECT_EQ(st.st_nlink, 0u);
  EXPECT_EQ(names_here(), 1u);
}

CHECKPOINT_TEST(RemovedFile, keeps_what_was_in_a_removed_directory) {
  mkdir("d", 0755);
  mkdir("d/e", 0755);
  const int fd = make("d/e/file", "deep");
  const int directory = open("d/e", O_RDONLY | O_DIRECTORY);
  unlink("d/e/file");
  rmdir("d/e");
  rmdir("d");
  const std::string name = name_of(fd);
  checkpoint();
  EXPECT_EQ(contents(fd), "deep");
  EXPECT_EQ(name_of(fd), name);
  EXPECT_TRUE(name_of(directory).ends_with("/d/e (deleted)"));
}

CHECKPOINT_TEST(RemovedFile, leaves_nothing_of_its_directories,
                except({"peer_restores_ours"}, "CRIU leaves the upper one behind")) {
  mkdir("d", 0755);
  mkdir("d/e", 0755);
  const int fd = make("d/e/file", "deep");
  unlink("d/e/file");
  rmdir("d/e");
  rmdir("d");
  checkpoint();
  EXPECT_EQ(contents(fd), "deep");
  EXPECT_EQ(names_here(), 0u);
}

CHECKPOINT_TEST(RemovedFile, can_be_the_working_directory) {
  mkdir("d", 0755);
  ASSERT_EQ(chdir("d"), 0);
  ASSERT_EQ(rmdir("../d"), 0);
  const std::string name = link_text("/proc/self/cwd");
  checkpoint();
  EXPECT_EQ(link_text("/proc/self/cwd"), name);
  EXPECT_EQ(open("x", O_CREAT | O_RDWR, 0600), -1);
  EXPECT_EQ(errno, ENOENT);
}

CHECKPOINT_TEST(RemovedFile, called_deleted) {
  const int fd = make("x (deleted)", "odd");
  unlink("x (deleted)");
  const std::string name = name_of(fd);
  checkpoint();
  EXPECT_EQ(name_of(fd), name);
  EXPECT_EQ(contents(fd), "odd");
}

CHECKPOINT_TEST(RemovedFile, temporary_file_can_still_get_a_name,
                except({"peer_restores_ours"}, "CRIU makes it an ordinary removed file"),
                proc_differs({"fd"}, "the name holds the inode number")) {
  const int fd = open(".", O_TMPFILE | O_RDWR, 0600);
  ASSERT_EQ(write(fd, "temporary", 9), 9);
  checkpoint();
  EXPECT_EQ(contents(fd), "temporary");
  EXPECT_EQ(linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd)).c_str(), AT_FDCWD, "named",
                   AT_SYMLINK_FOLLOW),
            0);
}

CHECKPOINT_TEST(RemovedFile, refuses_large_ones, dump_refused("--ghost-limit")) {
  const int fd = make("large", std::string(2 << 20, 'x'));
  unlink("large");
  checkpoint();
  EXPECT_GE(fd, 0);
}

// Named before the process is stopped, also if nothing but a mapping refers to it.
CHECKPOINT_TEST(
    RemovedFile, refuses_large_mapped_ones,
    dump_refused(
        "is a removed file with 2097152 bytes of contents, more than the limit of 1048576")) {
  const int fd = make("large", std::string(2 << 20, 'x'));
  ASSERT_NE(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0), MAP_FAILED);
  close(fd);
  unlink("large");
  checkpoint();
}

CHECKPOINT_TEST(RemovedFile, takes_large_ones_if_told_so, dump_options({"--ghost-limit", "4M"})) {
  const int fd = make("large", std::string(2 << 20, 'x'));
  unlink("large");
  checkpoint();
  EXPECT_EQ(contents(fd), std::string(1 << 16, 'x'));
}

CHECKPOINT_TEST(LinkedFile, refused_without_option, dump_refused("--link-remap")) {
  make("a", "text");
  ASSERT_EQ(link("a", "b"), 0);
  unlink("a");
  checkpoint();
}

CHECKPOINT_TEST(LinkedFile, keeps_its_other_name, dump_options({"--link-remap"}),
                except({"restore_left"}, "as with CRIU, the link goes when the process stays")) {
  const int fd = make("a", "text");
  ASSERT_EQ(link("a", "b"), 0);
  const int again = open("a", O_RDONLY);
  unlink("a");
  checkpoint();
  EXPECT_EQ(contents(fd), "text");
  EXPECT_EQ(contents(again), "text");
  EXPECT_TRUE(name_of(fd).ends_with("/a (deleted)")) << name_of(fd);
  struct stat named {
  }, open_one{};
  ASSERT_EQ(stat("b", &named), 0);
  ASSERT_EQ(fstat(fd, &open_one), 0);
  EXPECT_EQ(named.st_ino, open_one.st_ino);
  EXPECT_EQ(named.st_nlink, 1u);
  EXPECT_EQ(names_here(), 1u);
}

}  // namespace
}  // namespace cryo
