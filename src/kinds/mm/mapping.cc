#include "kinds/mm/mapping.h"

#include <fcntl.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "kinds/mm/memory_object.h"
#include "kinds/mm/vma_status.h"
#include "sys/uapi.h"

namespace cryo {
namespace {

constexpr uint32_t kHugeSize = MAP_HUGETLB | uint32_t{MAP_HUGE_MASK} << MAP_HUGE_SHIFT;
// Flags of the image that mmap(2) is to be called with; the rest are set by other means.
constexpr uint32_t kMapFlags =
    MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE | MAP_SYNC | kHugeSize;

// All that vma_entry.madv is used for. Others act on contents, and have no business in an image.
constexpr uint64_t kAdvice = 1ULL << MADV_SEQUENTIAL | 1ULL << MADV_RANDOM | 1ULL << MADV_DONTFORK |
                             1ULL << MADV_DONTDUMP | 1ULL << MADV_MERGEABLE |
                             1ULL << MADV_HUGEPAGE | 1ULL << MADV_NOHUGEPAGE |
                             1ULL << MADV_WIPEONFORK;

// The kernel refuses a call that alone asks for more memory than there is: with overcommit_memory 0, each is looked
// at by itself.
constexpr uint64_t kMostMerged = 256 << 20;

constexpr int kMostNodeWords = 1024 / 64;  // as many nodes as any kernel is built for

std::string place_of(const pb::vma_entry& vma) {
  return fmt::format("the mapping {:x}-{:x}", vma.start(), vma.end());
}

int access_of(const pb::vma_entry& vma) {
  if (vma.has_fdflags()) return static_cast<int>(vma.fdflags());
  const bool writes = (vma.status() & kVmaFileShared) != 0 && (vma.prot() & PROT_WRITE) != 0;
  return writes ? O_RDWR : O_RDONLY;
}

// Where the memory of a mapping comes from: a staged descriptor, or -1.
Result<int> source_of(TaskRestore& task, const pb::vma_entry& vma, const AnonymousSizes& sizes) {
  if ((vma.status() & (kVmaAioRing | kVmaSysvIpc | kVmaSocket | kVmaShadowStack | kVmaUprobes)) !=
      0)
    return Error::unsupported(fmt::format(
        "{} is of a kind that cannot be restored yet (status {:#x})", place_of(vma), vma.status()));
  if ((vma.status() & (kVmaFilePrivate | kVmaFileShared)) != 0) return staged_source(task, vma);
  if ((vma.status() & kVmaAnonShared) != 0)
    return stage_anonymous_object(task.restore,
                                  {vma.shmid(), sizes.at(vma.shmid()), vma.flags() & kHugeSize});
  if ((vma.status() & kVmaAnonPrivate) != 0) return -1;
  return Error::bad_image(
      fmt::format("{} is of no kind (status {:#x})", place_of(vma), vma.status()));
}

uint32_t flags_of(const pb::vma_entry& vma, bool anonymous) {
  uint32_t flags = vma.flags() & kMapFlags & ~uint32_t{MAP_ANONYMOUS};
  if (anonymous)
    flags |= MAP_ANONYMOUS;
  else
    flags &= ~kHugeSize;
  return flags | MAP_FIXED_NOREPLACE;
}

Result<void> set_policy(Batch& batch, const pb::vma_entry& vma,
                        const pb::cryo_memory_policy& policy) {
  if (policy.node_mask_size() > kMostNodeWords)
    return Error::bad_image(fmt::format("cryo: {} has {} words of memory nodes", place_of(vma),
                                        policy.node_mask_size()));
  const Data mask = batch.put(std::as_bytes(
      std::span(policy.node_mask().data(), static_cast<size_t>(policy.node_mask_size()))));
  const int bits = policy.node_mask_size() * 64;
  if (bits == 0)
    batch.call(SYS_mbind, vma.start(), vma.end() - vma.start(), policy.mode(), 0, 0, 0);
  else
    batch.call(SYS_mbind, vma.start(), vma.end() - vma.start(), policy.mode(), mask, bits + 1, 0);
  return {};
}

// Pages that come in on first touch are huge where the advice says so, and the advice must be one that the
// mapping has in the end: no call takes both flags away again.
void advise_huge(Batch& batch, const MappingOrder& order) {
  if ((order.vma->madv() & (1ULL << MADV_HUGEPAGE | 1ULL << MADV_NOHUGEPAGE)) == 0) return;
  for (const AddressRange& range : order.huge)
    batch.call(SYS_madvise, range.start, range.end - range.start, MADV_HUGEPAGE).any_result();
}

// Where it has no such advice they are gathered afterwards; that may fail for want of memory.
void collapse(Batch& batch, const MappingOrder& order) {
  if ((order.vma->madv() & (1ULL << MADV_HUGEPAGE | 1ULL << MADV_NOHUGEPAGE)) != 0) return;
  for (const AddressRange& range : order.huge)
    batch.call(SYS_madvise, range.start, range.end - range.start, MADV_COLLAPSE).any_result();
}

void lock(Batch& batch, const MappingOrder& order) {
  const pb::vma_entry& vma = *order.vma;
  if ((vma.flags() & MAP_LOCKED) == 0) return;
  const bool on_fault = order.extra != nullptr && order.extra->lock_on_fault();
  // Strictly first: this one fails only where the lock is not allowed. The other also fails when not every page
  // can be faulted in (PROT_NONE, guard regions, behind the end of a file), and locks all the same.
  batch.call(SYS_mlock2, vma.start(), vma.end() - vma.start(), MLOCK_ONFAULT);
  if (!on_fault) batch.call(SYS_mlock, vma.start(), vma.end() - vma.start()).any_result();
}

// Neighbours that are alike so far, and that the kernel would merge at this point anyway, come by one call.
void map(Batch& batch, const pb::vma_entry& vma, int source, uint32_t prot) {
  const uint64_t size = vma.end() - vma.start();
  const uint32_t flags = flags_of(vma, source < 0);
  const bool merges = source < 0 && (flags & (MAP_GROWSDOWN | MAP_HUGETLB)) == 0;
  if (merges &&
      batch.lengthen(SYS_mmap, vma.start(), size, kMostMerged, {prot, flags, source, vma.pgoff()}))
    return;
  batch.call(SYS_mmap, vma.start(), size, prot, flags, source, vma.pgoff())
      .expect_exactly(static_cast<int64_t>(vma.start()));
}

void finish(TaskRestore& task, const MappingOrder& order, uint32_t prot) {
  const pb::vma_entry& vma = *order.vma;
  const uint64_t size = vma.end() - vma.start();
  Batch& batch = task.plan.calls(Phase::protect);
  collapse(batch, order);
  if (prot != vma.prot() &&
      !batch.lengthen(SYS_mprotect, vma.start(), size, ~uint64_t{0}, {vma.prot()}))
    batch.call(SYS_mprotect, vma.start(), size, vma.prot());
  for (int advice = 0; advice < 64; ++advice)
    if ((vma.madv() >> advice & 1) != 0) batch.call(SYS_madvise, vma.start(), size, advice);
  lock(batch, order);
  if (order.extra == nullptr) return;
  if (order.extra->has_name()) {
    const Data name = batch.put_string(order.extra->name());
    batch.call(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, vma.start(), size, name)
        .any_result();  // a matter of looks
  }
  if (order.extra->sealed()) task.plan.calls(Phase::late).call(sys::kMseal, vma.start(), size, 0);
}

}  // namespace

int staged_source(TaskRestore& task, const pb::vma_entry& file_mapping) {
  return task.restore.files.file(FileId{static_cast<uint32_t>(file_mapping.shmid())},
                                 access_of(file_mapping));
}

AnonymousSizes anonymous_sizes(const Snapshot& snapshot) {
  AnonymousSizes sizes;
  for (const TaskImage& task : snapshot.tasks)
    for (const pb::vma_entry& vma : task.mm.vmas()) {
      if ((vma.status() & kVmaAnonShared) == 0) continue;
      uint64_t& size = sizes[vma.shmid()];
      size = std::max(size, vma.pgoff() + (vma.end() - vma.start()));
    }
  return sizes;
}

Result<void> plan_mapping(TaskRestore& task, const MappingOrder& order,
                          const AnonymousSizes& sizes) {
  const pb::vma_entry& vma = *order.vma;
  if ((vma.madv() & ~kAdvice) != 0)
    return Error::bad_image(fmt::format("{} has advice {:#x}", place_of(vma), vma.madv()));
  const int source = TRY(source_of(task, vma, sizes));
  const uint32_t prot = vma.prot() | (order.pages ? uint32_t{PROT_WRITE} : 0);
  map(task.plan.calls(Phase::map), vma, source, prot);
  Batch& batch = task.plan.calls(Phase::map);
  if (order.extra != nullptr && order.extra->has_policy())
    TRY(set_policy(batch, vma, order.extra->policy()));
  advise_huge(batch, order);
  finish(task, order, prot);
  return {};
}

void plan_guards(TaskRestore& task) {
  Batch& batch = task.plan.calls(Phase::protect);
  for (const pb::vma_entry& vma : task.image.mm.vmas())
    if ((vma.status() & kVmaGuard) != 0)
      batch.call(SYS_madvise, vma.start(), vma.end() - vma.start(), MADV_GUARD_INSTALL);
}

}  // namespace cryo
