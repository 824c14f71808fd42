#include "trace/mapping_records.h"

#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "sys/process.h"

namespace cryo {
namespace {

// Mappings with flags of all sorts, in a child that does not run.
class MappingRecords : public testing::Test {
 protected:
  void SetUp() override {
    if (!btf_.get()) GTEST_SKIP() << "the kernel does not describe its types";
    child_ = fork();
    if (child_ == 0) {
      make_mappings();
      raise(SIGSTOP);
      _exit(0);
    }
    int status = 0;
    waitpid(child_, &status, WUNTRACED);
  }
  void TearDown() override {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  static void make_mappings() {
    constexpr size_t kSize = 16 << 12;
    constexpr int kAdvice[] = {MADV_DONTFORK,   MADV_DONTDUMP,   MADV_SEQUENTIAL, MADV_RANDOM,
                               MADV_WIPEONFORK, MADV_NOHUGEPAGE, MADV_NORMAL};
    for (const int advice : kAdvice)
      madvise(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
              kSize, advice);
    mlock(mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), kSize);
    mmap(nullptr, kSize, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void* near =
        mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
    const unsigned long nodes = 1;
    syscall(SYS_mbind, near, kSize, MPOL_PREFERRED, &nodes, 64UL, 0);
  }
  procfs::ProcTask proc() const {
    Result<procfs::ProcDir> dir = procfs::ProcDir::open();
    return dir->task(Pid{child_}).value();
  }
  sys::KernelBtf btf_;
  pid_t child_ = 0;
};

TEST_F(MappingRecords, AreWhatSmapsShows) {
  MappingRecorder recorder(btf_);
  const procfs::ProcTask task = proc();
  EXPECT_FALSE(recorder.has_learnt());
  Result<void> learnt = recorder.learn(task, Pid{child_}, SIZE_MAX);
  ASSERT_TRUE(learnt) << learnt.error().to_string();
  Result<std::vector<procfs::Vma>> vmas = recorder.read(task, Pid{child_});
  ASSERT_TRUE(vmas) << vmas.error().to_string();
  Result<std::vector<procfs::Vma>> smaps = task.smaps();
  ASSERT_TRUE(smaps && smaps->size() == vmas->size());
  for (size_t i = 0; i < vmas->size(); ++i) {
    const procfs::Vma &ours = (*vmas)[i], &theirs = (*smaps)[i];
    EXPECT_EQ(ours.to_string(), theirs.to_string());
    EXPECT_TRUE(ours.flags == theirs.flags) << theirs.to_string();
    EXPECT_GE(ours.usage.anon_huge, theirs.usage.anon_huge);
  }
}

TEST_F(MappingRecords, KnowPoliciesOfTheirOwn) {
  MappingRecorder recorder(btf_);
  ASSERT_TRUE(recorder.learn(proc(), Pid{child_}, SIZE_MAX));
  Result<std::vector<procfs::Vma>> vmas = recorder.read(proc(), Pid{child_});
  ASSERT_TRUE(vmas);
  const auto grows = std::ranges::find_if(*vmas, [](const procfs::Vma& vma) {
    return vma.has(procfs::VmFlag::gd) && vma.name.empty();
  });
  ASSERT_NE(grows, vmas->end());
  EXPECT_FALSE(grows->default_policy);
  EXPECT_GT(std::ranges::count(*vmas, true, &procfs::Vma::default_policy), 5);
}

// Without a sample of them, no flags are made up.
TEST_F(MappingRecords, RefuseFlagsThatNoSampleHad) {
  MappingRecorder recorder(btf_);
  ASSERT_TRUE(recorder.learn(proc(), Pid{child_}, 3));
  Result<std::vector<procfs::Vma>> vmas = recorder.read(proc(), Pid{child_});
  ASSERT_FALSE(vmas);
  EXPECT_EQ(vmas.error().kind(), ErrorKind::unsupported);
}

}  // namespace
}  // namespace cryo
