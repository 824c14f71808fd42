#include "sys/file.h"

#include <gtest/gtest.h>

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

#include "sys/memory.h"

namespace cryo::sys {
namespace {

TEST(SysFile, an_error_names_the_call_and_its_arguments) {
  const Result<Fd> fd = open("/nonexistent/file", O_RDONLY);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().message(),
            "openat(AT_FDCWD, \"/nonexistent/file\", 0, 0): No such file or directory (ENOENT)");
  EXPECT_EQ(fd.error().code(), ENOENT);
}

TEST(SysFile, descriptors_are_close_on_exec) {
  const Fd fd = open("/dev/null", O_RDONLY).value();
  EXPECT_TRUE(get_cloexec(fd).value());
  const Pipe pipe = pipe2().value();
  EXPECT_TRUE(get_cloexec(pipe.read).value());
  EXPECT_TRUE(get_cloexec(dup(fd).value()).value());
  ASSERT_TRUE(set_cloexec(fd, false));
  EXPECT_FALSE(get_cloexec(fd).value());
}

TEST(SysFile, read_all_puts_short_reads_together) {
  Pipe pipe = pipe2().value();
  std::thread writer([&] {
    for (const char* piece : {"abc", "def", "gh"}) ASSERT_TRUE(write_all(pipe.write, piece));
    pipe.write.reset();
  });
  std::array<char, 8> out{};
  EXPECT_TRUE(read_all(pipe.read, out.data(), out.size()));
  writer.join();
  EXPECT_EQ(std::string(out.data(), out.size()), "abcdefgh");
}

TEST(SysFile, read_all_refuses_an_early_end) {
  Pipe pipe = pipe2().value();
  ASSERT_TRUE(write_all(pipe.write, "abc"));
  pipe.write.reset();
  const Result<uint64_t> value = read_value<uint64_t>(pipe.read);
  ASSERT_FALSE(value);
  EXPECT_NE(value.error().message().find("end of file after 3 of 8 bytes"), std::string::npos);
}

TEST(SysFile, pwrite_all_and_pread_all_keep_their_offset) {
  const Fd fd = memfd_create("offset").value();
  ASSERT_TRUE(pwrite_all(fd, "0123456789", 10, 100));
  std::array<char, 4> out{};
  ASSERT_TRUE(pread_all(fd, out.data(), out.size(), 103));
  EXPECT_EQ(std::string(out.data(), out.size()), "3456");
  EXPECT_FALSE(pread_all(fd, out.data(), out.size(), 108));
}

TEST(SysFile, read_to_end_appends_any_amount) {
  const Fd fd = memfd_create("big").value();
  const std::string big(300'000, 'x');
  ASSERT_TRUE(write_all(fd, big));
  ASSERT_TRUE(lseek(fd, 0, SEEK_SET));
  std::string out = "head ";
  ASSERT_TRUE(read_to_end(fd, out));
  EXPECT_EQ(out, "head " + big);
  EXPECT_EQ(read_to_end(fd).value(), "");
}

TEST(SysFile, seek_finds_data_and_holes) {
  const Fd fd = memfd_create("sparse").value();
  ASSERT_TRUE(ftruncate(fd, 1 << 20));
  EXPECT_EQ(seek_data(fd, 0).value(), std::nullopt);
  ASSERT_TRUE(pwrite_all(fd, "x", 1, 65536));
  EXPECT_EQ(seek_data(fd, 0).value(), 65536U);
  EXPECT_EQ(seek_hole(fd, 65536).value(), 65536 + page_size());
}

TEST(SysFile, readlinkat_takes_long_links) {
  const Fd dir = open("/tmp", O_RDONLY | O_DIRECTORY).value();
  const std::string name = fmt::format("cryo-link-{}", ::getpid());
  const std::string target(1000, 't');
  ASSERT_TRUE(symlinkat(target, dir, name));
  EXPECT_EQ(readlinkat(dir, name).value(), target);
  ASSERT_TRUE(unlinkat(dir, name));
  EXPECT_FALSE(exists(dir, name).value());
}

TEST(SysFile, lists_the_numbers_of_a_directory) {
  const Fd self = open("/proc/self", O_RDONLY | O_DIRECTORY).value();
  const std::vector<int32_t> fds = list_numbers(self, "fd").value();
  EXPECT_NE(std::find(fds.begin(), fds.end(), self.raw()), fds.end());
  EXPECT_TRUE(std::is_sorted(fds.begin(), fds.end()));
}

TEST(SysFile, lists_names_with_their_types) {
  bool found = false;
  for (const DirEntry& entry : list_directory(cwd(), "/proc/self").value()) {
    EXPECT_NE(entry.name, ".");
    found = found || (entry.name == "fd" && entry.type == DT_DIR);
  }
  EXPECT_TRUE(found);
}

TEST(SysFile, attributes_come_back) {
  const Fd fd = memfd_create("xattr").value();
  if (!fsetxattr(fd, "trusted.cryo", "value")) GTEST_SKIP() << "no attributes on tmpfs here";
  EXPECT_EQ(fgetxattr(fd, "trusted.cryo").value(), "value");
  EXPECT_EQ(flistxattr(fd).value().size(), 1U);
}

}  // namespace
}  // namespace cryo::sys
