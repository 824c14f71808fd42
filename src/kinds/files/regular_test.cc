#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tests/harness/checkpoint_test.h"
#include "tests/harness/text.h"

namespace cryo {
namespace {

bool same_description(int a, int b) {
  return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b) == 0;
}

int make(const char* name, int flags, const char* text = "0123456789") {
  const int fd = open(name, flags | O_CREAT, 0640);
  EXPECT_GE(fd, 0) << name;
  EXPECT_EQ(write(fd, text, strlen(text)), static_cast<ssize_t>(strlen(text)));
  return fd;
}

std::string name_of(int fd) {
  char text[4096] = {};
  const ssize_t size = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), text, sizeof text);
  return std::string(text, size > 0 ? static_cast<size_t>(size) : 0);
}

CHECKPOINT_TEST(RegularFile, keeps_flags_and_positions) {
  const int direct = open("direct", O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
  const int append = make("append", O_WRONLY | O_APPEND);
  const int quiet = make("quiet", O_RDWR | O_NOATIME | O_NONBLOCK | O_SYNC);
  const int path = open("append", O_PATH);
  const int link = (symlink("nowhere", "link"), open("link", O_PATH | O_NOFOLLOW));
  const int directory = open(".", O_RDONLY);
  lseek(quiet, 3, SEEK_SET);
  const std::vector<int> all = {direct, append, quiet, path, link, directory};
  std::vector<int> flags;
  for (const int fd : all) flags.push_back(fcntl(fd, F_GETFL));
  checkpoint();
  for (size_t i = 0; i < all.size(); i++)
    EXPECT_EQ(fcntl(all[i], F_GETFL), flags[i]) << name_of(all[i]);
  EXPECT_EQ(fcntl(direct, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(append, F_GETFD), 0);
  EXPECT_EQ(lseek(append, 0, SEEK_CUR), 10);
  EXPECT_EQ(lseek(quiet, 0, SEEK_CUR), 3);
  EXPECT_EQ(write(append, "x", 1), 1);
  struct stat st {};
  EXPECT_EQ(fstatat(path, "", &st, AT_EMPTY_PATH), 0);
  EXPECT_EQ(st.st_size, 11);
  EXPECT_EQ(fstatat(link, "", &st, AT_EMPTY_PATH), 0);
  EXPECT_TRUE(S_ISLNK(st.st_mode));
}

CHECKPOINT_TEST(RegularFile, keeps_that_it_had_to_be_a_directory,
                except({"peer_restores_ours"}, "CRIU opens directories without O_DIRECTORY")) {
  const int directory = open(".", O_RDONLY | O_DIRECTORY);
  const int flags = fcntl(directory, F_GETFL);
  checkpoint();
  EXPECT_EQ(fcntl(directory, F_GETFL), flags);
}

CHECKPOINT_TEST(RegularFile, keeps_memory_devices) {
  const int null = open("/dev/null", O_RDWR);
  const int zero = open("/dev/zero", O_RDONLY);
  const int full = open("/dev/full", O_WRONLY);
  const int random = open("/dev/urandom", O_RDONLY);
  const int log = open("/dev/kmsg", O_WRONLY);
  checkpoint();
  char byte = 1;
  EXPECT_EQ(read(null, &byte, 1), 0);
  EXPECT_EQ(read(zero, &byte, 1), 1);
  EXPECT_EQ(byte, 0);
  EXPECT_EQ(write(full, &byte, 1), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(read(random, &byte, 1), 1);
  EXPECT_EQ(name_of(log), "/dev/kmsg");
}

CHECKPOINT_TEST(RegularFile, keeps_which_descriptors_share_a_description) {
  const int a = make("file", O_RDWR);
  const int b = dup(a);
  const int c = open("file", O_RDWR);
  lseek(c, 10, SEEK_SET);  // looks the same as a
  const int far = dup2(a, 900);
  checkpoint();
  EXPECT_TRUE(same_description(a, b));
  EXPECT_TRUE(same_description(a, far));
  EXPECT_FALSE(same_description(a, c));
  lseek(a, 2, SEEK_SET);
  EXPECT_EQ(lseek(b, 0, SEEK_CUR), 2);
  EXPECT_EQ(lseek(c, 0, SEEK_CUR), 10);
}

CHECKPOINT_TEST(RegularFile, keeps_owner_and_signal) {
  const int fd = make("file", O_RDWR);
  const int other = make("other", O_RDWR);
  const f_owner_ex self = {F_OWNER_TID, gettid()};
  ASSERT_EQ(fcntl(fd, F_SETOWN_EX, &self), 0);
  ASSERT_EQ(fcntl(fd, F_SETSIG, SIGRTMIN + 2), 0);
  const f_owner_ex group = {F_OWNER_PGRP, getpgrp()};
  ASSERT_EQ(fcntl(other, F_SETOWN_EX, &group), 0);
  checkpoint();
  f_owner_ex owner{};
  ASSERT_EQ(fcntl(fd, F_GETOWN_EX, &owner), 0);
  EXPECT_EQ(owner.type, F_OWNER_TID);
  EXPECT_EQ(owner.pid, gettid());
  EXPECT_EQ(fcntl(fd, F_GETSIG), SIGRTMIN + 2);
  ASSERT_EQ(fcntl(other, F_GETOWN_EX, &owner), 0);
  EXPECT_EQ(owner.type, F_OWNER_PGRP);
  EXPECT_EQ(owner.pid, getpgrp());
}

CHECKPOINT_TEST(RegularFile, is_found_after_it_was_renamed) {
  const int fd = make("before", O_RDWR);
  const int odd = make("odd (deleted)", O_RDWR);
  ASSERT_EQ(rename("before", "after"), 0);
  checkpoint();
  EXPECT_TRUE(name_of(fd).ends_with("/after"));
  EXPECT_TRUE(name_of(odd).ends_with("/odd (deleted)"));
  struct stat by_name {
  }, by_fd{};
  ASSERT_EQ(stat("odd (deleted)", &by_name), 0);
  ASSERT_EQ(fstat(odd, &by_fd), 0);
  EXPECT_EQ(by_name.st_ino, by_fd.st_ino);
}

void limit_descriptors(rlim_t to) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max = to;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

CHECKPOINT_TEST(RegularFile, many_descriptors) {
  limit_descriptors(20000);
  std::vector<int> fds;
  for (int i = 0; i < 3000; i++) fds.push_back(open("/dev/null", O_RDONLY));
  ASSERT_EQ(dup2(fds[0], 19000), 19000);
  checkpoint();
  for (const int fd : fds) ASSERT_EQ(name_of(fd), "/dev/null");
  EXPECT_TRUE(same_description(fds[0], 19000));
  EXPECT_FALSE(same_description(fds[0], fds[1]));
}

CHECKPOINT_TEST(RegularFile, highest_descriptor,
                except({"peer_restores_ours"},
                       "CRIU needs numbers above it that the limit allows for its own")) {
  limit_descriptors(20000);
  ASSERT_EQ(dup2(open("/dev/null", O_RDONLY), 19999), 19999);
  checkpoint();
  EXPECT_EQ(name_of(19999), "/dev/null");
}

CHECKPOINT_TEST(RegularFile, refuses_a_file_that_became_longer,
                between([](const live::Between& at) {
                  std::ofstream(at.directory + "/file", std::ios::app) << "more";
                }),
                restore_refused("has changed since the dump: it has 14 bytes, and had 10")) {
  make("file", O_RDWR);
  checkpoint();
}

CHECKPOINT_TEST(RegularFile, refuses_a_file_with_another_mode, between([](const live::Between& at) {
                  ASSERT_EQ(chmod((at.directory + "/file").c_str(), 0600), 0);
                }),
                restore_refused("--skip-file-rwx-check")) {
  make("file", O_RDWR);
  checkpoint();
}

CHECKPOINT_TEST(RegularFile, accepts_another_mode_if_told_so,
                restore_options({"--skip-file-rwx-check"}), between([](const live::Between& at) {
                  ASSERT_EQ(chmod((at.directory + "/file").c_str(), 0604), 0);
                })) {
  const int fd = make("file", O_RDWR);
  checkpoint();
  char byte = 0;
  EXPECT_EQ(pread(fd, &byte, 1, 2), 1);
  EXPECT_EQ(byte, '2');
}

// A file with a build-id; `version` is part of it.
void make_program(const std::string& name, char version) {
  std::ifstream from("/bin/true", std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(from), {}};
  const std::string note("\x14\0\0\0\x03\0\0\0GNU\0", 12);  // 20 bytes of build-id
  const size_t at = bytes.find(note);
  ASSERT_NE(at, std::string::npos);
  bytes[at + note.size()] = version;
  std::ofstream(name, std::ios::binary | std::ios::trunc) << bytes;
}

void another_build(const live::Between& at) { make_program(at.directory + "/program", 'b'); }

void map_program() {
  make_program("program", 'a');
  const int fd = open("program", O_RDONLY);
  ASSERT_NE(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0), MAP_FAILED);
  close(fd);
}

CHECKPOINT_TEST(RegularFile, refuses_another_build_of_the_same_size, between(another_build),
                restore_refused("/program has changed since the dump: it has another build-id")) {
  map_program();
  checkpoint();
}

CHECKPOINT_TEST(RegularFile, accepts_another_build_where_the_size_counts, between(another_build),
                restore_options({"--file-validation", "filesize"})) {
  map_program();
  checkpoint();
}

CHECKPOINT_TEST(RegularFile, has_no_build_id_where_the_size_counts, between(another_build),
                dump_options({"--file-validation", "filesize"})) {
  map_program();
  checkpoint();
}

CHECKPOINT_TEST(RegularFile, refuses_a_mapped_file_that_became_shorter,
                between([](const live::Between& at) {
                  ASSERT_EQ(truncate((at.directory + "/mapped").c_str(), 4096), 0);
                }),
                restore_refused("it has 4096 bytes, and had 8192")) {
  const int fd = make("mapped", O_RDWR, "");
  ASSERT_EQ(ftruncate(fd, 8192), 0);
  ASSERT_NE(mmap(nullptr, 8192, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
  close(fd);
  checkpoint();
}

CHECKPOINT_TEST(RegularFile, refuses_a_missing_file, between([](const live::Between& at) {
                  ASSERT_EQ(unlink((at.directory + "/file").c_str()), 0);
                }),
                restore_refused("the file was there when the checkpoint was made")) {
  make("file", O_RDWR);
  checkpoint();
}

CHECKPOINT_TEST(RegularFile, refuses_a_fifo_in_its_place, between([](const live::Between& at) {
                  const std::string name = at.directory + "/file";
                  ASSERT_EQ(unlink(name.c_str()), 0);
                  ASSERT_EQ(mkfifo(name.c_str(), 0640), 0);
                }),
                restore_refused("a file of another type")) {
  const int fd = make("file", O_RDWR);
  close(fd);
  open("file", O_RDONLY);
  checkpoint();
}

CHECKPOINT_TEST(RegularFile, refuses_locks_and_names_all_at_once, dump_refused("holds a lock")) {
  const int fd = make("file", O_RDWR);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  EXPECT_EQ(fcntl(fd, F_OFD_SETLK, &lock), 0);
  checkpoint();
}

}  // namespace
}  // namespace cryo
