#include "procfs/reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "sys/file.h"
#include "sys/memory.h"
#include "sys/process.h"
#include "tests/harness/scratch_dir.h"

namespace cryo::procfs {
namespace {

ProcTask self() { return ProcDir::open().value().task(sys::getpid()).value(); }

TEST(ProcfsReader, reads_a_fixture_tree) {
  ScratchDir tree;
  tree.directory("self");
  tree.write("12/stat", "");
  tree.write("12/comm", "a b\n");
  tree.write("12/oom_score_adj", "-17\n");
  tree.write("12/coredump_filter", "00000033\n");
  tree.write("12/task/12/children", "30 ");
  tree.write("12/task/14/children", "20 21 ");
  const ProcDir proc = ProcDir::open(tree.path().string()).value();
  EXPECT_EQ(proc.pids().value(), std::vector<Pid>{Pid{12}});
  const ProcTask task = proc.task(Pid{12}).value();
  EXPECT_EQ(task.comm().value(), "a b");
  EXPECT_EQ(task.oom_score_adj().value(), -17);
  EXPECT_EQ(task.coredump_filter().value(), 0x33U);
  EXPECT_EQ(task.threads().value(), (std::vector<Tid>{Tid{12}, Tid{14}}));
  EXPECT_EQ(task.children().value(), (std::vector<Pid>{Pid{20}, Pid{21}, Pid{30}}));
  EXPECT_EQ(task.loginuid().value(), ~uint32_t{0}) << "a kernel without audit";
}

TEST(ProcfsReader, an_absent_file_of_a_living_task_is_not_gone) {
  ScratchDir tree;
  tree.write("12/stat", "");
  const ProcTask task = ProcDir::open(tree.path().string()).value().task(Pid{12}).value();
  const Result<std::vector<PosixTimer>> timers = task.timers();
  ASSERT_FALSE(timers);
  EXPECT_EQ(timers.error().kind(), ErrorKind::os);
  EXPECT_EQ(timers.error().trail().back(), "reading timers of process 12");
}

TEST(ProcfsReader, malformed_files_say_where) {
  ScratchDir tree;
  tree.write("12/stat", "12 (x");
  const ProcTask task = ProcDir::open(tree.path().string()).value().task(Pid{12}).value();
  const Result<TaskStat> stat = task.stat();
  ASSERT_FALSE(stat);
  EXPECT_EQ(stat.error().message(), "text of stat that was not understood: \"12 (x\"");
  EXPECT_EQ(stat.error().trail().back(), "reading stat of process 12");
}

TEST(ProcfsReader, smaps_survives_any_chunk_boundary) {
  ScratchDir tree;
  std::string text;
  const size_t count = 3000;
  for (size_t i = 1; i <= count; ++i) {
    text += fmt::format(
        "{:x}000-{:x}000 rw-p 00000000 00:00 0    /{}\nSize: 4 kB\nRss: {} kB\nVmFlags: rd wr hg\n",
        i, i + 1, std::string(i % 50, 'n'), i);
  }
  text += fmt::format("ffff000-fffff000 rw-p 00000000 00:00 0    /{}\n", std::string(200'000, 'x'));
  tree.write("12/smaps", text);
  const ProcTask task = ProcDir::open(tree.path().string()).value().task(Pid{12}).value();
  const std::vector<Vma> vmas = task.smaps().value();
  ASSERT_EQ(vmas.size(), count + 1);
  for (size_t i = 1; i <= count; ++i) {
    ASSERT_EQ(vmas[i - 1].start, i << 12);
    ASSERT_EQ(vmas[i - 1].usage.rss, i << 10);
    ASSERT_TRUE(vmas[i - 1].has(VmFlag::hg));
  }
  EXPECT_EQ(vmas.back().name.size(), 200'001U);
}

TEST(ProcfsReader, no_such_process_is_gone) {
  const Result<ProcTask> task = ProcDir::open().value().task(Pid{0x3fffffff});
  ASSERT_FALSE(task);
  EXPECT_EQ(task.error().kind(), ErrorKind::gone);
}

TEST(ProcfsReader, a_dead_process_is_gone_for_every_file) {
  const pid_t pid = ::fork();
  if (pid == 0) ::pause();
  ASSERT_GT(pid, 0);
  const ProcTask task = ProcDir::open().value().task(Pid{pid}).value();
  ASSERT_TRUE(sys::kill(Pid{pid}, SIGKILL));
  ASSERT_TRUE(sys::waitid(P_PID, static_cast<uint32_t>(pid), WEXITED | WNOWAIT));
  // Still there, as a zombie.
  EXPECT_EQ(task.stat().value().state, 'Z');
  EXPECT_TRUE(task.status().value().zombie());
  EXPECT_TRUE(task.maps().value().empty());
  EXPECT_TRUE(task.timers().value().empty());
  ASSERT_TRUE(sys::wait_for(Tid{pid}));
  EXPECT_EQ(task.stat().error().kind(), ErrorKind::gone);
  EXPECT_EQ(task.status().error().kind(), ErrorKind::gone);
  EXPECT_EQ(task.smaps().error().kind(), ErrorKind::gone);
  EXPECT_EQ(task.fds().error().kind(), ErrorKind::gone);
  EXPECT_EQ(task.threads().error().kind(), ErrorKind::gone);
  EXPECT_EQ(task.children().error().kind(), ErrorKind::gone);
  EXPECT_EQ(task.link("exe").error().kind(), ErrorKind::gone);
  EXPECT_EQ(task.fdinfo(FdNo{0}).error().kind(), ErrorKind::gone);
  EXPECT_EQ(task.loginuid().error().kind(), ErrorKind::gone);
  EXPECT_EQ(task.open("mem", O_RDONLY).error().kind(), ErrorKind::gone);
}

// Every reader understands what this machine's kernel says of this very process.
TEST(ProcfsReader, understands_this_kernel) {
  const ProcTask task = self();
  const TaskStat stat = task.stat().value();
  EXPECT_EQ(stat.pid, ::getpid());
  EXPECT_EQ(stat.ppid, ::getppid());
  EXPECT_EQ(stat.session, ::getsid(0));
  EXPECT_NE(stat.env_end, 0U);
  const TaskStatus status = task.status().value();
  EXPECT_EQ(status.tgid, ::getpid());
  EXPECT_EQ(status.uids[1], ::geteuid());
  EXPECT_TRUE(status.has_mm);
  EXPECT_FALSE(status.ns_pid.empty());
  EXPECT_EQ(status.name, task.comm().value());
  const std::string auxv = task.auxv().value();
  EXPECT_FALSE(parse_auxv(auxv).value().empty());
  EXPECT_EQ(task.limits().value()[RLIMIT_NOFILE].soft,
            sys::get_rlimit(Pid{0}, RLIMIT_NOFILE).value().rlim_cur);
  EXPECT_TRUE(task.timers());
  EXPECT_FALSE(task.mountinfo().value().empty());
  EXPECT_TRUE(task.cgroup());
  EXPECT_TRUE(task.syscall());
  EXPECT_TRUE(task.oom_score_adj());
  EXPECT_TRUE(task.coredump_filter());
  EXPECT_TRUE(task.loginuid());
  EXPECT_TRUE(task.timerslack_ns());
  EXPECT_TRUE(task.personality());
  EXPECT_EQ(task.link("ns/mnt").value().kind, Link::Kind::object);
  EXPECT_EQ(task.link("exe").value().kind, Link::Kind::path);
}

TEST(ProcfsReader, sees_descriptors) {
  const Fd fd = sys::memfd_create("seen").value();
  ASSERT_TRUE(sys::lseek(fd, 77, SEEK_SET));
  const ProcTask task = self();
  const FdNo number{fd.raw()};
  const std::vector<FdNo> fds = task.fds().value();
  EXPECT_NE(std::find(fds.begin(), fds.end(), number), fds.end());
  const Link link = task.fd_link(number).value();
  EXPECT_EQ(link.kind, Link::Kind::memfd);
  EXPECT_EQ(link.name, "seen");
  const FdInfo info = task.fdinfo(number).value();
  EXPECT_EQ(info.pos(), 77U);
  EXPECT_EQ(info.flags() & O_CLOEXEC, static_cast<uint32_t>(O_CLOEXEC));
}

TEST(ProcfsReader, sees_threads_and_children) {
  const sys::Pipe hold = sys::pipe2().value();
  sys::Pipe ready = sys::pipe2().value();
  std::thread thread([&] {
    const pid_t child = ::fork();
    if (child == 0) {
      char byte = 0;
      (void)!::read(hold.read.raw(), &byte, 1);
      ::_exit(0);
    }
    (void)sys::write_value(ready.write, child);
    char byte = 0;
    (void)!::read(hold.read.raw(), &byte, 1);
  });
  const pid_t child = sys::read_value<pid_t>(ready.read).value();
  const ProcTask task = self();
  EXPECT_EQ(task.threads().value().size(), 2U);
  EXPECT_EQ(task.children().value(), std::vector<Pid>{Pid{child}});
  const ProcTask main_thread = task.thread(sys::gettid()).value();
  EXPECT_EQ(main_thread.stat().value().pid, sys::gettid().value);
  EXPECT_EQ(task.thread(Tid{1}).error().kind(), ErrorKind::gone);
  ASSERT_TRUE(sys::write_all(hold.write, "ab"));
  thread.join();
  ASSERT_TRUE(sys::wait_for(Tid{child}));
}

const Vma* find(const std::vector<Vma>& vmas, const void* address) {
  const auto at = reinterpret_cast<uint64_t>(address);
  const auto found =
      std::find_if(vmas.begin(), vmas.end(), [&](const Vma& vma) { return vma.contains(at); });
  return found == vmas.end() ? nullptr : &*found;
}

TEST(ProcfsReader, sees_advice_and_page_use) {
  const sys::Mapping memory =
      sys::Mapping::make(1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS).value();
  ASSERT_TRUE(sys::madvise(memory.address(), memory.size(), MADV_DONTDUMP));
  ASSERT_TRUE(sys::madvise(memory.address(), memory.size(), MADV_WIPEONFORK));
  std::fill(memory.as<char>(), memory.as<char>() + 65536, 'x');
  const std::vector<Vma> vmas = self().smaps().value();
  const Vma* vma = find(vmas, memory.address());
  ASSERT_NE(vma, nullptr);
  EXPECT_TRUE(vma->has(VmFlag::dd));
  EXPECT_TRUE(vma->has(VmFlag::wf));
  EXPECT_TRUE(vma->has(VmFlag::ac));
  EXPECT_FALSE(vma->has(VmFlag::dc));
  EXPECT_GE(vma->usage.anonymous, 65536U);
  for (const Vma& each : vmas) EXPECT_EQ(each.unknown_flags, "") << each.to_string();
}

TEST(ProcfsReader, map_files_settle_what_maps_leaves_open) {
  ScratchDir tree;
  tree.write("line\n (deleted)", std::string(4096, 'x'));
  const Fd fd = sys::open(tree.path().string() + "/line\n (deleted)", O_RDONLY).value();
  const sys::Mapping memory = sys::Mapping::make(4096, PROT_READ, MAP_SHARED, fd).value();
  const ProcTask task = self();
  const std::vector<Vma> vmas = task.maps().value();
  const Vma* vma = find(vmas, memory.address());
  ASSERT_NE(vma, nullptr);
  EXPECT_EQ(vma->name, tree.path().string() + "/line\n");
  EXPECT_TRUE(vma->deleted) << "which is not so";
  const ProcTask::MapFile file = task.map_file(*vma).value();
  EXPECT_EQ(file.link.text, tree.path().string() + "/line\n (deleted)");
  EXPECT_EQ(file.stat.st_nlink, 1U);
  EXPECT_EQ(file.stat.st_ino, vma->inode);
}

}  // namespace
}  // namespace cryo::procfs
