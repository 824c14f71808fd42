// --root: the paths in the images are those below another directory, and no path leads out of it: not with "..", not
// with symbolic links, not with those of /proc, and not if somebody changes the directory meanwhile.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "fdinfo.pb.h"
#include "tests/harness/edit_images.h"
#include "tests/harness/target.h"
#include "tests/harness/test_files.h"
#include "tests/harness/text.h"

namespace cryo::live {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kProgram = CRYO_BUILD_DIR "/tests/programs/counter-static";

class RootLive : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(files_.make("work"));
    ASSERT_TRUE(files_.make("outside"));
    std::ofstream(outside("output")) << "secret\n";
  }
  ~RootLive() override {
    target_.clean_up();
    (void)umount2(root("/proc").c_str(), MNT_DETACH);
    if (HasFailure()) printf("%s\n", files_.keep().c_str());
  }
  std::string work(const std::string& name) const { return files_.path("work/" + name); }
  std::string outside(const std::string& name) const { return files_.path("outside/" + name); }
  std::string root(const std::string& absolute) const { return files_.path("root") + absolute; }

  bool grows(const std::string& file) {
    const std::string before = read_text(file);
    return wait_until([&] { return read_text(file).size() > before.size(); }, soon());
  }
  // Starts the program, and dumps it. `then` is done while it runs.
  void dump(const std::function<void()>& then = [] {}) {
    SpawnOptions options;
    options.argv = {kProgram};
    options.environment = plain_environment();
    options.directory = files_.path("work");
    options.output = work("output");
    options.new_session = true;
    const Result<void> started = target_.start(options);
    ASSERT_TRUE(started) << started.error().to_string();
    ASSERT_TRUE(grows(work("output")));
    then();
    images_ = files_.new_images();
    const Result<void> dumped = target_.dump_and_kill(tool_under_test(), images_, {}, soon());
    ASSERT_TRUE(dumped) << dumped.error().to_string();
  }
  // What the program needs, below the root; its working directory is /data there, by way of an absolute link.
  void furnish_root() {
    fs::create_directories(root("/data"));
    fs::create_directories(root("/dev"));
    fs::create_directories(fs::path(root(kProgram)).parent_path());
    fs::create_directories(fs::path(root(files_.path("work"))).parent_path());
    fs::copy_file(kProgram, root(kProgram));
    fs::create_directory_symlink("/data", root(files_.path("work")));
    if (fs::exists(work("output"))) fs::copy_file(work("output"), root("/data/output"));
    ASSERT_EQ(mknod(root("/dev/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
    ASSERT_EQ(chmod(root("/dev/null").c_str(), 0666), 0);  // whatever the umask is
  }
  ToolRun restore() {
    Result<ToolRun> run =
        live::restore(tool_under_test(), images_, {"--root", files_.path("root")}, soon());
    EXPECT_TRUE(run);
    return run ? *run : ToolRun();
  }
  void adopt() {
    Result<Process> restored = Process::adopt(target_.pid());
    ASSERT_TRUE(restored) << restored.error().to_string();
    target_.process() = std::move(*restored);
  }
  std::string link_of(const std::string& name) const {
    return read_link(fmt::format("/proc/{}/{}", target_.pid(), name));
  }
  // The program's output gets another name in the images.
  void call_output(const std::string& name) {
    int found = 0;
    edit<pb::file_entry>(images_, {ImageKind::files}, [&](std::vector<pb::file_entry>& all) {
      for (pb::file_entry& file : all) {
        if (!file.has_reg() || file.reg().name() != output_name_) continue;
        file.mutable_reg()->set_name(name);
        ++found;
      }
    });
    EXPECT_EQ(found, 1);
    output_name_ = name;
  }
  void expect_outside_untouched() {
    EXPECT_EQ(read_text(outside("output")), "secret\n");
    EXPECT_EQ(std::distance(fs::directory_iterator(files_.path("outside")), {}), 1);
  }

  TestFiles files_{current_test_name()};
  Target target_;
  std::string images_;
  std::string output_name_ = work("output");
};

TEST_F(RootLive, is_where_the_process_goes_on) {
  dump();
  furnish_root();
  const std::string before = read_text(work("output"));
  const ToolRun run = restore();
  ASSERT_TRUE(run.worked()) << run.report();
  adopt();
  EXPECT_EQ(link_of("root"), files_.path("root"));
  EXPECT_EQ(link_of("cwd"), root("/data"));
  EXPECT_EQ(link_of("exe"), root(kProgram));
  EXPECT_EQ(link_of("fd/1"), root("/data/output"));
  EXPECT_EQ(link_of("fd/0"), root("/dev/null"));
  EXPECT_TRUE(grows(root("/data/output")));
  std::ofstream(root("/data/may-end")).flush();
  Result<int> status = target_.process().wait(soon());
  ASSERT_TRUE(status);
  EXPECT_TRUE(exited_with(*status, 0));
  EXPECT_THAT(read_text(root("/data/output")), EndsWith("right\n"));
  EXPECT_EQ(read_text(work("output")), before);
}

TEST_F(RootLive, is_not_left_by_any_path) {
  dump();
  furnish_root();
  fs::create_directories(root("/proc"));
  ASSERT_EQ(mount("proc", root("/proc").c_str(), "proc", 0, nullptr), 0);
  fs::create_directory_symlink(files_.path("outside"), root("/absolute"));
  std::string up = "..";
  for (int i = 0; i < 30; ++i) up += "/..";
  fs::create_directory_symlink(up + files_.path("outside"), root("/relative"));
  const int here = open(files_.path("outside").c_str(), O_PATH);
  const std::vector<std::string> names = {
      outside("output"),
      "/" + up + outside("output"),
      "/absolute/output",
      "/relative/output",
      "/data/../../outside/output",
      "/proc/self/root" + outside("output"),
      "/proc/1/root" + outside("output"),
      fmt::format("/proc/{}/fd/{}/output", getpid(), here),
      fmt::format("/proc/{}/cwd/../../outside/output", getpid()),
  };
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    call_output(name);
    const ToolRun run = restore();
    EXPECT_TRUE(exited_with(run.wait_status, 1)) << run.report();
    EXPECT_THAT(run.log, HasSubstr("openat2"));
    EXPECT_NE(kill(target_.pid(), 0), 0);
    expect_outside_untouched();
  }
  close(here);
}

// A removed file has its old name again for a moment, and directories that are missing are made for it.
TEST_F(RootLive, is_where_removed_files_are_made) {
  dump([&] { fs::remove(work("output")); });
  furnish_root();
  fs::create_directory_symlink(files_.path("outside"), root("/absolute"));
  std::string up;
  for (int i = 0; i < 30; ++i) up += "/..";
  output_name_ = work("output");
  for (const std::string& name :
       {up + outside("removed"), std::string("/absolute/removed"), up + outside("made/removed")}) {
    SCOPED_TRACE(name);
    call_output(name);
    const ToolRun run = restore();
    EXPECT_TRUE(run.worked() || exited_with(run.wait_status, 1)) << run.report();
    expect_outside_untouched();
    if (!run.worked()) continue;
    adopt();
    EXPECT_THAT(link_of("fd/1"), StartsWith(files_.path("root") + "/"));
    target_.clean_up();
  }
}

TEST_F(RootLive, is_not_left_while_links_are_swapped) {
  dump();
  furnish_root();
  fs::create_directory_symlink(files_.path("outside"), root("/trap"));
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    while (!stop)
      renameat2(AT_FDCWD, root("/data").c_str(), AT_FDCWD, root("/trap").c_str(), RENAME_EXCHANGE);
  });
  int worked = 0;
  for (int i = 0; i < 40; ++i) {
    const ToolRun run = restore();
    EXPECT_TRUE(run.worked() || exited_with(run.wait_status, 1)) << run.report();
    if (!run.worked()) continue;
    ++worked;
    adopt();
    EXPECT_THAT(link_of("fd/1"), StartsWith(files_.path("root") + "/"));
    EXPECT_THAT(link_of("cwd"), StartsWith(files_.path("root") + "/"));
    target_.clean_up();
  }
  stop = true;
  swapper.join();
  printf("%d of 40 restores worked\n", worked);
  expect_outside_untouched();
}

TEST_F(RootLive, that_is_not_there) {
  dump();
  const ToolRun run = restore();
  EXPECT_TRUE(exited_with(run.wait_status, 1));
  EXPECT_THAT(run.log, HasSubstr("No such file or directory"));
  EXPECT_NE(kill(target_.pid(), 0), 0);
}

}  // namespace
}  // namespace cryo::live
