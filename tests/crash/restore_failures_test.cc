// Restores that cannot work, or that are given damaged and hostile images: a clear message, exit status 1, and
// nothing left. Never a crash, never a hang.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "image/store.h"
#include "model/snapshot.h"
#include "pagemap.pb.h"
#include "sys/file.h"
#include "tests/crash/patient.h"
#include "tests/harness/edit_images.h"
#include "tests/harness/text.h"

namespace cryo::live {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class RestoreFailuresLive : public testing::Test {
 protected:
  void dump() {
    ASSERT_TRUE(patient_.start("waits"));
    images_ = patient_.files().new_images();
    const Result<void> dumped =
        patient_.target().dump_and_kill(tool_under_test(), images_, {}, soon());
    ASSERT_TRUE(dumped) << dumped.error().to_string();
  }
  std::string copy_of_images() {
    const std::string copy = patient_.files().path("copy");
    fs::remove_all(copy);
    fs::copy(images_, copy, fs::copy_options::recursive);
    for (const char* file : {"/dump.log", "/dump.output", "/stats-dump"}) fs::remove(copy + file);
    return copy;
  }
  // Whether it is as it should be: refused with status 1 and nothing left, or restored (and then ended here).
  void expect_refused_or_restored(const std::string& images) {
    Result<ToolRun> run = restore(tool_under_test(), images, {}, soon());
    ASSERT_TRUE(run) << run.error().to_string();
    ASSERT_TRUE(exited_with(run->wait_status, 0) || exited_with(run->wait_status, 1))
        << run->report();
    if (run->worked()) {
      ++restored_;
      Result<Process> process = Process::adopt(patient_.pid());
      if (process) process->kill_and_reap();
    } else {
      ++refused_;
      EXPECT_THAT(run->log + run->output, HasSubstr("Error ("));
    }
    ASSERT_TRUE(patient_.is_gone()) << run->report();
  }
  std::string refusal(const std::string& images, const Words& more = {},
                      const Tool& tool = tool_under_test()) {
    Result<ToolRun> run = restore(tool, images, more, soon());
    if (!run) return run.error().to_string();
    EXPECT_TRUE(exited_with(run->wait_status, 1)) << run->report();
    return run->log + run->output;
  }
  void expect_restorable() { EXPECT_TRUE(patient_.comes_back_from(images_)); }

  Patient patient_;
  std::string images_;
  int refused_ = 0, restored_ = 0;
};

TEST_F(RestoreFailuresLive, pid_in_use) {
  ASSERT_TRUE(patient_.start("waits"));
  const std::string images = patient_.files().new_images();
  const Result<void> dumped =
      patient_.target().dump_and_leave(tool_under_test(), images, {}, soon());
  ASSERT_TRUE(dumped) << dumped.error().to_string();
  EXPECT_THAT(refusal(images), HasSubstr(fmt::format("its number {} is in use", patient_.pid())));
  EXPECT_TRUE(patient_.is_unharmed());
  EXPECT_TRUE(patient_.is_alone());
}

// Dead, but its number is not free before its parent has reaped it; that may come while the restore waits for it.
TEST_F(RestoreFailuresLive, number_of_a_zombie) {
  ASSERT_TRUE(patient_.start("waits"));
  const std::string images = patient_.files().new_images();
  Result<ToolRun> dumped = live::dump(tool_under_test(), patient_.pid(), images, {}, soon());
  ASSERT_TRUE(dumped && dumped->worked());
  EXPECT_THAT(refusal(images), HasSubstr("its parent has not reaped"));
  std::thread parent([this] { EXPECT_TRUE(patient_.is_buried()); });
  EXPECT_TRUE(restore(tool_under_test(), images, {}, soon())->worked());
  parent.join();
  EXPECT_TRUE(patient_.was_restored());
}

TEST_F(RestoreFailuresLive, file_missing_or_changed) {
  dump();
  const std::string file = patient_.files().path("sync");
  fs::rename(file, file + ".away");
  EXPECT_THAT(refusal(images_), HasSubstr("sync"));
  ASSERT_TRUE(patient_.is_gone());
  fs::rename(file + ".away", file);
  const auto size = fs::file_size(file);
  fs::resize_file(file, size + 1);
  EXPECT_THAT(refusal(images_), HasSubstr(fmt::format("{} bytes", size + 1)));
  ASSERT_TRUE(patient_.is_gone());
  fs::resize_file(file, size);
  expect_restorable();
}

TEST_F(RestoreFailuresLive, without_privilege) {
  dump();
  const std::string wrapper = patient_.files().path("wrapper");
  std::ofstream(wrapper) << fmt::format(
      "#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups {} \"$@\"\n",
      tool_under_test().path);
  fs::permissions(wrapper, fs::perms::owner_all);
  EXPECT_THAT(refusal(images_, {}, {"cryo", wrapper}), HasSubstr("needs root"));
  ASSERT_TRUE(patient_.is_gone());
}

TEST_F(RestoreFailuresLive, failing_script_or_request_to_end) {
  dump();
  const std::string script = patient_.files().path("script");
  for (const char* action : {"pre-restore", "post-restore"}) {
    for (const char* what : {"exit 3", "kill -TERM $PPID"}) {
      SCOPED_TRACE(fmt::format("{}: {}", action, what));
      std::ofstream(script) << fmt::format("#!/bin/sh\n[ $CRTOOLS_SCRIPT_ACTION != {} ] || {}\n",
                                           action, what);
      fs::permissions(script, fs::perms::owner_all);
      Result<ToolRun> run = restore(tool_under_test(), images_,
                                    {"--action-script", script, "--pidfile", "pid"}, soon());
      ASSERT_TRUE(run);
      EXPECT_FALSE(run->worked()) << run->report();
      ASSERT_TRUE(patient_.is_gone()) << run->report();
      EXPECT_FALSE(fs::exists(images_ + "/pid"));
    }
  }
  expect_restorable();
}

TEST_F(RestoreFailuresLive, killed_at_random_moments_leaves_nothing) {
  dump();
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(restore(tool_under_test(), images_, {}, soon()));
  const auto time_of_restore = std::chrono::steady_clock::now() - begin;
  Result<Process> process = Process::adopt(patient_.pid());
  ASSERT_TRUE(process);
  process->kill_and_reap();
  const char* wanted = getenv("CRYO_RANDOM_KILLS");
  std::minstd_rand random(static_cast<unsigned>(time(nullptr)));
  for (int kill = 0, kills = wanted != nullptr ? atoi(wanted) : 60; kill < kills; ++kill) {
    const std::chrono::nanoseconds moment(
        std::uniform_int_distribution<int64_t>(0, time_of_restore.count())(random));
    SCOPED_TRACE(fmt::format("kill {}, after {} us", kill, moment.count() / 1000));
    Result<KilledRun> run = run_killed_after(moment, "restore", images_, {"--restore-detached"});
    ASSERT_TRUE(run) << run.error().to_string();
    Result<Process> left = Process::adopt(patient_.pid());
    if (left && patient_.was_restored()) {
      ASSERT_TRUE(patient_.is_buried());
    }
    ASSERT_TRUE(patient_.is_gone());
  }
  expect_restorable();
}

TEST_F(RestoreFailuresLive, truncated_images) {
  dump();
  for (const auto& entry : fs::directory_iterator(copy_of_images())) {
    const uint64_t size = entry.file_size();
    for (const uint64_t left : {uint64_t{0}, uint64_t{6}, size / 2, size - 1}) {
      if (left >= size) continue;
      SCOPED_TRACE(fmt::format("{}: {} of {} bytes", entry.path().filename().string(), left, size));
      const std::string copy = copy_of_images();
      fs::resize_file(entry.path(), left);
      expect_refused_or_restored(copy);
      if (HasFatalFailure()) return;
    }
  }
  printf("%d refused, %d restored\n", refused_, restored_);
  expect_restorable();
}

TEST_F(RestoreFailuresLive, flipped_bits) {
  dump();
  const char* given_seed = getenv("CRYO_SEED");
  const unsigned seed = given_seed != nullptr ? static_cast<unsigned>(atol(given_seed))
                                              : static_cast<unsigned>(time(nullptr));
  SCOPED_TRACE(fmt::format("CRYO_SEED={}", seed));
  std::minstd_rand random(seed);
  const Deadline end = deadline_in(std::chrono::seconds(25));
  while (std::chrono::steady_clock::now() < end) {
    std::vector<fs::path> names;
    for (const auto& entry : fs::directory_iterator(copy_of_images()))
      if (entry.file_size() != 0) names.push_back(entry.path());
    for (const fs::path& path : names) {
      const std::string copy = copy_of_images();
      const auto offset = static_cast<int64_t>(random() % fs::file_size(path));
      const auto bit = static_cast<int>(random() % 8);
      SCOPED_TRACE(fmt::format("{}: bit {} of byte {}", path.filename().string(), bit, offset));
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(offset);
      const int byte = file.get();
      file.seekp(offset);
      file.put(static_cast<char>(byte ^ 1 << bit));
      file.close();
      expect_refused_or_restored(copy);
      if (HasFatalFailure()) return;
    }
  }
  printf("%d refused, %d restored\n", refused_, restored_);
}

// --- Images that somebody has made to do harm

struct Attack {
  const char* name;
  std::function<void(const std::string& dir, uint64_t pid)> change;
};

template <class Pb>
std::function<void(const std::string&, uint64_t)> first(ImageKind kind,
                                                        std::function<void(Pb&)> change,
                                                        bool by_pid = true) {
  return [=](const std::string& dir, uint64_t pid) {
    edit<Pb>(dir, by_pid ? ImageName{kind, pid} : ImageName{kind}, [&](std::vector<Pb>& all) {
      ASSERT_FALSE(all.empty());
      change(all.front());
    });
  };
}

std::function<void(const std::string&, uint64_t)> mm(std::function<void(pb::mm_entry&)> change) {
  return first<pb::mm_entry>(ImageKind::mm, std::move(change));
}
std::function<void(const std::string&, uint64_t)> core(
    std::function<void(pb::core_entry&)> change) {
  return first<pb::core_entry>(ImageKind::core, std::move(change));
}
std::function<void(const std::string&, uint64_t)> tree(
    std::function<void(pb::pstree_entry&)> change) {
  return first<pb::pstree_entry>(ImageKind::pstree, std::move(change), false);
}
std::function<void(const std::string&, uint64_t)> fds(
    std::function<void(std::vector<pb::fdinfo_entry>&)> change) {
  return [=](const std::string& dir, uint64_t) {
    edit<pb::fdinfo_entry>(dir, {ImageKind::fdinfo, 2}, change);
  };
}
std::function<void(const std::string&, uint64_t)> files(
    std::function<void(std::vector<pb::file_entry>&)> change) {
  return [=](const std::string& dir, uint64_t) {
    edit<pb::file_entry>(dir, {ImageKind::files}, change);
  };
}
std::function<void(const std::string&, uint64_t)> pages(
    std::function<void(std::vector<pb::pagemap_entry>&)> change) {
  return [=](const std::string& dir, uint64_t pid) {
    Result<ImageReader> reader = ImageReader::open(sys::open(dir, O_RDONLY | O_DIRECTORY).value());
    ASSERT_TRUE(reader);
    // The head is an entry of another type.
    const ImageName name{ImageKind::pagemap, pid};
    Result<std::optional<ImageCursor>> cursor = reader->find(name);
    ASSERT_TRUE(cursor && cursor->has_value());
    pb::pagemap_head head;
    ASSERT_TRUE((*cursor)->next(head));
    std::vector<pb::pagemap_entry> all;
    for (pb::pagemap_entry entry;;) {
      const Result<bool> more = (*cursor)->next(entry);
      if (!more || !more.value()) break;
      all.push_back(entry);
    }
    change(all);
    std::string bytes = image_head(name.kind);
    ASSERT_TRUE(encode_entry(head, bytes));
    for (const pb::pagemap_entry& entry : all) ASSERT_TRUE(encode_entry(entry, bytes));
    std::ofstream(dir + "/" + name.file(), std::ios::binary | std::ios::trunc) << bytes;
  };
}

std::vector<Attack> attacks() {
  return {
      {"pid 0", tree([](auto& node) { node.set_pid(0); })},
      {"pid 2^31", tree([](auto& node) { node.set_pid(1U << 31); })},
      {"a million threads", tree([](auto& node) {
         for (uint32_t i = 1; i < 1'000'000; ++i) node.add_threads(i);
       })},
      {"the same thread twice", tree([](auto& node) { node.add_threads(node.threads(1)); })},
      {"no threads", tree([](auto& node) { node.clear_threads(); })},
      {"session of somebody else", tree([](auto& node) {
         node.set_sid(1);
         node.set_pgid(1);
       })},
      {"overlapping mappings",
       mm([](auto& m) { m.mutable_vmas(1)->set_start(m.vmas(0).start()); })},
      {"a mapping of negative size",
       mm([](auto& m) { m.mutable_vmas(0)->set_end(m.vmas(0).start() - 4096); })},
      {"a mapping of nothing", mm([](auto& m) { m.mutable_vmas(0)->set_end(m.vmas(0).start()); })},
      {"a mapping of everything",
       mm([](auto& m) { m.mutable_vmas(m.vmas_size() - 2)->set_end(~uint64_t{0}); })},
      {"a mapping at 0", mm([](auto& m) { m.mutable_vmas(0)->set_start(0); })},
      {"unaligned mappings",
       mm([](auto& m) { m.mutable_vmas(0)->set_start(m.vmas(0).start() + 1); })},
      {"200,000 mappings", mm([](auto& m) {
         for (int i = 0; i < 200'000; ++i) *m.add_vmas() = m.vmas(0);
       })},
      {"no mappings", mm([](auto& m) { m.clear_vmas(); })},
      {"mapping of a missing file",
       mm([](auto& m) { m.mutable_vmas(0)->set_shmid(~uint64_t{0}); })},
      {"strange mapping status", mm([](auto& m) { m.mutable_vmas(0)->set_status(~0U); })},
      {"strange mapping flags", mm([](auto& m) { m.mutable_vmas(0)->set_flags(~0U); })},
      {"strange protection", mm([](auto& m) { m.mutable_vmas(0)->set_prot(~0U); })},
      {"strange advice", mm([](auto& m) { m.mutable_vmas(0)->set_madv(~uint64_t{0}); })},
      {"an enormous auxiliary vector", mm([](auto& m) {
         for (int i = 0; i < 100'000; ++i) m.add_mm_saved_auxv(1);
       })},
      {"executable is missing", mm([](auto& m) { m.set_exe_file_id(0xffffffff); })},
      {"break below the heap", mm([](auto& m) { m.set_mm_brk(4096); })},
      {"arguments outside", mm([](auto& m) {
         m.set_mm_arg_start(1);
         m.set_mm_arg_end(~uint64_t{0});
       })},
      {"fd INT_MAX", fds([](auto& all) { all.back().set_fd(0x7fffffff); })},
      {"fd 2^31", fds([](auto& all) { all.back().set_fd(0x80000000); })},
      {"fd UINT_MAX", fds([](auto& all) { all.back().set_fd(0xffffffff); })},
      {"an fd twice", fds([](auto& all) { all.push_back(all.back()); })},
      {"fd of a missing file", fds([](auto& all) { all.front().set_id(0x7fffffff); })},
      {"fd of unknown type", fds([](auto& all) { all.front().set_type(pb::PIPE); })},
      {"a million fds", fds([](auto& all) {
         for (uint32_t i = all.back().fd(); i < 1'000'000; ++i) {
           all.push_back(all.back());
           all.back().set_fd(i + 1);
         }
       })},
      {"file of another type", files([](auto& all) { all.front().set_type(pb::EVENTFD); })},
      {"file without its part", files([](auto& all) { all.front().clear_reg(); })},
      {"the same file twice", files([](auto& all) { all.push_back(all.front()); })},
      {"no files", files([](auto& all) { all.clear(); })},
      {"path out of the root", files([](auto& all) {
         for (auto& f : all) f.mutable_reg()->set_name("/../../../../nowhere/../../x");
       })},
  };
}

std::vector<Attack> more_attacks() {
  return {
      {"path with a zero byte", files([](auto& all) {
         for (auto& f : all) f.mutable_reg()->set_name(std::string("/dev\0/null", 10));
       })},
      {"empty path", files([](auto& all) {
         for (auto& f : all) f.mutable_reg()->set_name("");
       })},
      {"very long path", files([](auto& all) {
         for (auto& f : all) f.mutable_reg()->set_name(std::string(1 << 20, '/') + "x");
       })},
      {"files that are directories", files([](auto& all) {
         for (auto& f : all) f.mutable_reg()->set_name("/");
       })},
      {"strange open flags", files([](auto& all) {
         for (auto& f : all) f.mutable_reg()->set_flags(~0U);
       })},
      {"strange position", files([](auto& all) {
         for (auto& f : all) f.mutable_reg()->set_pos(~uint64_t{0} - 1);
       })},
      {"too many pages", pages([](auto& all) { all.back().set_nr_pages(0x7fffffff); })},
      {"pages at the end of the world", pages([](auto& all) {
         all.back().set_vaddr(~uint64_t{0} - 4095);
         all.back().set_nr_pages(2);
       })},
      {"pages outside of mappings", pages([](auto& all) { all.back().set_vaddr(4096); })},
      {"unaligned pages", pages([](auto& all) { all.front().set_vaddr(all.front().vaddr() + 1); })},
      {"pages of a parent that is not there", pages([](auto& all) {
         all.front().set_in_parent(true);
         all.front().clear_flags();
       })},
      {"no registers", core([](auto& c) { c.clear_thread_info(); })},
      {"kernel registers", core([](auto& c) {
         auto& g = *c.mutable_thread_info()->mutable_gpregs();
         g.set_cs(0x10);
         g.set_ss(0x18);
         g.set_ip(0xffffffff81000000);
         g.set_flags(~uint64_t{0});
         g.set_fs_base(0xffffffff81000000);
       })},
      {"strange vector state", core([](auto& c) {
         auto& f = *c.mutable_thread_info()->mutable_fpregs();
         f.set_mxcsr(~0U);
         f.mutable_xsave()->set_xstate_bv(~uint64_t{0});
       })},
      {"short vector state",
       core([](auto& c) { c.mutable_thread_info()->mutable_fpregs()->clear_st_space(); })},
      {"long vector state", core([](auto& c) {
         for (int i = 0; i < 100'000; ++i)
           c.mutable_thread_info()->mutable_fpregs()->mutable_xsave()->add_ymmh_space(1);
       })},
      {"too many signal actions", core([](auto& c) {
         for (int i = 0; i < 1000; ++i) *c.mutable_tc()->add_sigactions() = c.tc().sigactions(0);
       })},
      {"a strange state", core([](auto& c) { c.mutable_tc()->set_task_state(77); })},
      {"a very long name",
       core([](auto& c) { c.mutable_tc()->set_comm(std::string(1 << 20, 'x')); })},
      {"another architecture", core([](auto& c) { c.set_mtype(pb::core_entry::AARCH64); })},
      {"a robust list of the kernel's",
       core([](auto& c) { c.mutable_thread_core()->set_futex_rla(0xffffffff81000000); })},
      {"all signals blocked", core([](auto& c) { c.mutable_tc()->set_blk_sigset(~uint64_t{0}); })},
  };
}

TEST_F(RestoreFailuresLive, hostile_images) {
  dump();
  std::vector<Attack> all = attacks();
  const std::vector<Attack> more = more_attacks();
  all.insert(all.end(), more.begin(), more.end());
  for (const Attack& attack : all) {
    SCOPED_TRACE(attack.name);
    const std::string copy = copy_of_images();
    attack.change(copy, static_cast<uint64_t>(patient_.pid()));
    const int before = restored_;
    expect_refused_or_restored(copy);
    if (restored_ != before) printf("restored: %s\n", attack.name);
    if (HasFatalFailure()) return;
  }
  printf("%d refused, %d restored\n", refused_, restored_);
  expect_restorable();
}

}  // namespace
}  // namespace cryo::live
