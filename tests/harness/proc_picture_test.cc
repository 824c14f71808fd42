#include "tests/harness/proc_picture.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace cryo::live {
namespace {

ProcPicture picture_of_self() {
  Result<ProcPicture> picture = ProcPicture::of(getpid());
  EXPECT_TRUE(picture);
  return *picture;
}

std::vector<std::string> changed_keys(const ProcPicture& before, const ProcPicture& after) {
  std::vector<std::string> keys;
  for (const ProcDifference& difference : differences(before, after))
    keys.push_back(difference.key);
  return keys;
}

TEST(ProcPicture, OfAnIdleProcessDoesNotChange) {
  const ProcPicture before = picture_of_self();
  const ProcPicture again = picture_of_self();
  // Own memory grows while the pictures are made, and they are read into another buffer.
  EXPECT_EQ(
      to_string(differences(before, again,
                            {"smaps/", "task/*/status/Vm", "task/*/stat/vsize", "task/*/syscall"})),
      "");
}

TEST(ProcPicture, ShowsChangesOfEveryKind) {
  const int fd = eventfd(1, 0);
  const ProcPicture before = picture_of_self();
  const int slack = prctl(PR_GET_TIMERSLACK);
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  const rlimit fewer = {files.rlim_cur - 1, files.rlim_max};

  ASSERT_EQ(prctl(PR_SET_TIMERSLACK, slack + 1), 0);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &fewer), 0);
  const mode_t mask = umask(0123);
  ASSERT_EQ(eventfd_write(fd, 5), 0);
  ASSERT_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  const std::vector<std::string> keys = changed_keys(before, picture_of_self());
  umask(mask);
  prctl(PR_SET_TIMERSLACK, slack);
  setrlimit(RLIMIT_NOFILE, &files);
  close(fd);

  const std::string task = fmt::format("task/{}/", getpid());
  EXPECT_THAT(keys, testing::IsSupersetOf({std::string("limits/Max open files"),
                                           task + "status/Umask", task + "timerslack_ns",
                                           fmt::format("fdinfo/{}/eventfd-count", fd),
                                           fmt::format("fdinfo/{}/flags", fd)}));
}

TEST(ProcPicture, ShowsMappingsAndTheirFlags) {
  void* page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const ProcPicture before = picture_of_self();
  madvise(page, 4096, MADV_DONTDUMP);
  const ProcPicture after = picture_of_self();
  munmap(page, 4096);
  const std::string flags =
      fmt::format("smaps/{:x}-{:x}/VmFlags", reinterpret_cast<uintptr_t>(page),
                  reinterpret_cast<uintptr_t>(page) + 4096);
  const std::vector<std::string> keys = changed_keys(before, after);
  EXPECT_THAT(keys, testing::Contains(flags)) << to_string(differences(before, after));
}

TEST(ProcPicture, NumbersWhatGetsNewInodes) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const ProcPicture picture = picture_of_self();
  close(ends[0]);
  close(ends[1]);
  const std::string one = picture.entries.at(fmt::format("fd/{}", ends[0]));
  EXPECT_THAT(one, testing::StartsWith("pipe:[#"));
  EXPECT_EQ(picture.entries.at(fmt::format("fd/{}", ends[1])), one);
}

TEST(ProcPicture, KnowsEveryFileOfThisKernel) {
  std::vector<std::string> unknown;
  for (const char* directory : {"/proc/self", "/proc/thread-self"}) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      if (!knows_proc_file(entry.path().filename())) unknown.push_back(entry.path());
    }
  }
  EXPECT_THAT(unknown, testing::IsEmpty()) << "add them to proc_picture_tables.cc";
}

TEST(ProcPicture, DifferencesOfThreadsAreToldOnce) {
  const ProcPicture before = {7, {{"task/7/comm", "a"}, {"task/8/comm", "a"}, {"task/8/cwd", "/"}}};
  const ProcPicture after = {7, {{"task/7/comm", "b"}, {"task/8/comm", "b"}, {"task/8/cwd", "/x"}}};
  EXPECT_THAT(changed_keys(before, after), testing::ElementsAre("task/7/comm", "task/8/cwd"));
  EXPECT_THAT(differences(before, after, {"task/*/comm", "task/8/cwd"}), testing::IsEmpty());
}

TEST(ProcPicture, LosesToThePeerOnlyWhatIsNamed) {
  EXPECT_TRUE(is_lost_by_peer({"task/7/timerslack_ns", "60000", "50000"}));
  EXPECT_TRUE(is_lost_by_peer({"smaps/1000-2000/VmFlags", "rd mr lo lf", "rd mr lo"}));
  EXPECT_FALSE(is_lost_by_peer({"smaps/1000-2000/VmFlags", "rd mr lo lf", "rd mr"}));
  EXPECT_FALSE(is_lost_by_peer({"task/7/status/Umask", "0022", "0077"}));
}

}  // namespace
}  // namespace cryo::live
