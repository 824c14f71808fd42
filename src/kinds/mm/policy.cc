// What a task has asked for its memory as such: NUMA policies of threads (set_mempolicy) and mappings (mbind), and
// the locking of mappings to come (mlockall(MCL_FUTURE)). The last is hidden: it shows only in what it does to a new
// mapping, such as our own shared area.
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>

#include "kinds/all.h"
#include "kinds/mm/vma_status.h"

namespace cryo {
namespace {

constexpr uint64_t kNodeBits = 1024;  // as many as any kernel is built for
constexpr size_t kNodeWords = kNodeBits / 64;
constexpr uint32_t kMostCalls = 4000;  // in one batch

using Mask = std::array<uint64_t, kNodeWords>;

struct Asked {
  uint32_t call;
  Data mode, mask;
};

Asked ask_policy(Batch& batch, uint64_t address, unsigned flags) {
  const Asked asked{batch.size(), batch.reserve(sizeof(int)), batch.reserve(sizeof(Mask))};
  batch.call(SYS_get_mempolicy, asked.mode, asked.mask, kNodeBits, address, flags).any_result();
  return asked;
}

// Sets `policy` unless it is the default one.
bool take_policy(const Outcome& outcome, const Asked& asked, pb::cryo_memory_policy& policy) {
  if (outcome.result(asked.call) < 0) return false;  // a kernel without NUMA
  const int mode = outcome.get<int>(asked.mode);
  if (mode == MPOL_DEFAULT) return false;
  const Mask mask = outcome.get<Mask>(asked.mask);
  size_t words = mask.size();
  while (words > 0 && mask[words - 1] == 0) --words;
  policy.set_mode(static_cast<uint32_t>(mode));
  for (size_t i = 0; i < words; ++i) policy.add_node_mask(mask[i]);
  return true;
}

Result<Answer> ask_thread(ThreadCapture& thread, Batch& batch) {
  const Asked asked = ask_policy(batch, 0, 0);
  return Answer([image = &thread.image(), asked](const Outcome& outcome) -> Result<void> {
    pb::cryo_memory_policy policy;
    if (take_policy(outcome, asked, policy))
      *image->extra.mutable_memory_policy() = std::move(policy);
    return {};
  });
}

bool adopt_thread(ThreadCapture& thread, const ThreadImage& like) {
  if (like.extra.has_memory_policy())
    *thread.image().extra.mutable_memory_policy() = like.extra.memory_policy();
  return true;
}

// Mappings in whose policy nobody can have had a hand.
bool has_no_policy(const pb::vma_entry& vma) {
  return (vma.status() & (kVmaVsyscall | kVmaVdso | kVmaVvar | kVmaGuard)) != 0;
}

pb::cryo_vma& extra_of(pb::cryo_mm& mm, uint64_t start) {
  auto& vmas = *mm.mutable_vmas();
  const auto at =
      std::lower_bound(vmas.begin(), vmas.end(), start,
                       [](const pb::cryo_vma& vma, uint64_t key) { return vma.start() < key; });
  if (at != vmas.end() && at->start() == start) return *at;
  const int index = static_cast<int>(at - vmas.begin());
  vmas.Add()->set_start(start);
  for (int i = vmas.size() - 1; i > index; --i) vmas.SwapElements(i, i - 1);
  return vmas[index];
}

Result<void> take_masks(TaskCapture& task, SyscallRunner& leader,
                        const std::vector<uint64_t>& addresses) {
  for (size_t from = 0; from < addresses.size(); from += kMostCalls / 4) {
    Batch batch;
    std::vector<Asked> asked;
    const size_t to = std::min<size_t>(addresses.size(), from + kMostCalls / 4);
    for (size_t i = from; i < to; ++i)
      asked.push_back(ask_policy(batch, addresses[i], MPOL_F_ADDR));
    const Outcome outcome = TRY(leader.run_all(batch));
    for (size_t i = from; i < to; ++i) {
      pb::cryo_memory_policy policy;
      if (take_policy(outcome, asked[i - from], policy))
        *extra_of(*task.image.extra.mutable_mm(), addresses[i]).mutable_policy() =
            std::move(policy);
    }
  }
  return {};
}

// The modes of all, then the masks of the few that are not default. (numa_maps would tell the same, but counts all
// pages on the way.)
Result<void> capture_mappings(TaskCapture& task, SyscallRunner& leader) {
  std::vector<uint64_t> addresses, special;
  auto known = task.vmas.begin();
  for (const pb::vma_entry& vma : task.image.mm.vmas()) {
    known = std::ranges::lower_bound(known, task.vmas.end(), vma.start(), {}, &procfs::Vma::start);
    const bool is_default =
        known != task.vmas.end() && known->start == vma.start() && known->default_policy;
    if (!is_default && !has_no_policy(vma)) addresses.push_back(vma.start());
  }
  for (size_t from = 0; from < addresses.size(); from += kMostCalls) {
    Batch batch;
    const size_t count = std::min<size_t>(addresses.size() - from, kMostCalls);
    const Data modes = batch.reserve(count * sizeof(int));
    for (size_t i = 0; i < count; ++i)
      batch
          .call(SYS_get_mempolicy, Data{modes.offset + i * sizeof(int)}, 0, 0, addresses[from + i],
                MPOL_F_ADDR)
          .any_result();
    const Outcome outcome = TRY(leader.run_all(batch));
    if (outcome.result(0) < 0) return {};
    for (size_t i = 0; i < count; ++i)
      if (outcome.get<int>(Data{modes.offset + i * sizeof(int)}) != MPOL_DEFAULT)
        special.push_back(addresses[from + i]);
  }
  return take_masks(task, leader, special);
}

Result<void> capture_lock_future(TaskCapture& task) {
  const procfs::TaskStatus status = TRY(task.proc.status());
  if (status.vm_locked <= task.status.vm_locked) return {};
  uint32_t flags = MCL_FUTURE;
  const std::vector<procfs::Vma> now = TRY(task.proc.smaps());
  for (const procfs::Vma& vma : now) {
    const auto known = std::ranges::find(task.vmas, vma.start, &procfs::Vma::start);
    if (known == task.vmas.end() && vma.has(procfs::VmFlag::lf)) flags |= MCL_ONFAULT;
  }
  task.image.extra.mutable_mm()->set_lock_future(flags);
  return {};
}

Result<void> drain(TaskCapture& task, Injection& injection) {
  TRY(capture_lock_future(task));
  return capture_mappings(task, injection.leader());
}

Result<void> compile(TaskRestore& task) {
  for (size_t i = 0; i < task.image.threads.size(); ++i) {
    const pb::cryo_thread_entry& extra = task.image.threads[i].extra;
    if (!extra.has_memory_policy()) continue;
    const auto& words = extra.memory_policy().node_mask();
    if (words.size() > static_cast<int>(kNodeWords))
      return Error::bad_image(fmt::format("cryo: thread {} has {} words of memory nodes",
                                          task.image.threads[i].tid, words.size()));
    Batch& batch = task.plan.calls(Phase::thread, i);
    const Data mask =
        batch.put(std::as_bytes(std::span(words.data(), static_cast<size_t>(words.size()))));
    if (words.empty())
      batch.call(SYS_set_mempolicy, extra.memory_policy().mode(), 0, 0);
    else
      batch.call(SYS_set_mempolicy, extra.memory_policy().mode(), mask, words.size() * 64 + 1);
  }
  // When everything is mapped, ours included.
  if (task.image.extra.mm().has_lock_future())
    task.plan.calls(Phase::mm).call(
        SYS_mlockall, task.image.extra.mm().lock_future() & uint32_t{MCL_FUTURE | MCL_ONFAULT});
  return {};
}

}  // namespace

const TaskKind memory_policy_kind = {.name = "memory policies",
                                     .ask_thread = ask_thread,
                                     .adopt_thread = adopt_thread,
                                     .drain = drain,
                                     .compile = compile};

}  // namespace cryo
