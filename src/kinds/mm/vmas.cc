// The mappings of an address space, as smaps describes them. How they come back: layout.cc; what is in them:
// pages.cc.
#include <sys/mman.h>

#include "kinds/all.h"
#include "kinds/mm/vma_status.h"

namespace cryo {
namespace {

using procfs::VmFlag;
using procfs::Vma;

struct AdviceFlag {
  VmFlag flag;
  int advice;
};
constexpr AdviceFlag kAdvice[] = {
    {VmFlag::sr, MADV_SEQUENTIAL}, {VmFlag::rr, MADV_RANDOM},   {VmFlag::dc, MADV_DONTFORK},
    {VmFlag::dd, MADV_DONTDUMP},   {VmFlag::mg, MADV_MERGEABLE}, {VmFlag::nh, MADV_NOHUGEPAGE},
    {VmFlag::hg, MADV_HUGEPAGE},   {VmFlag::wf, MADV_WIPEONFORK},
};

struct SpecialName {
  const char* name;
  uint32_t status;
};
constexpr SpecialName kSpecial[] = {
    {"[vsyscall]", kVmaVsyscall | kVmaAnonPrivate},
    {"[vdso]", kVmaRegular | kVmaVdso | kVmaAnonPrivate},
    {"[vvar]", kVmaRegular | kVmaAnonPrivate | kVmaVvar},
    {"[vvar_vclock]", kVmaRegular | kVmaAnonPrivate | kVmaVvar},
    {"[heap]", kVmaRegular | kVmaHeap | kVmaAnonPrivate},
};

uint32_t special_status(const Vma& vma) {
  for (const SpecialName& special : kSpecial)
    if (vma.name == special.name) return special.status;
  return 0;
}

bool has_file(const Vma& vma) { return vma.inode != 0; }

void set_common(const Vma& vma, pb::vma_entry& entry) {
  entry.set_start(vma.start);
  entry.set_end(vma.end);
  entry.set_pgoff(0);
  entry.set_shmid(0);
  entry.set_prot(static_cast<uint32_t>(vma.prot));
  entry.set_fd(-1);
  uint64_t advice = 0;
  for (const AdviceFlag& known : kAdvice)
    if (vma.has(known.flag)) advice |= uint64_t{1} << known.advice;
  if (advice != 0) entry.set_madv(advice);
}

uint32_t map_flags(const Vma& vma) {
  uint32_t flags = vma.shared ? MAP_SHARED : MAP_PRIVATE;
  if (!has_file(vma)) flags |= MAP_ANONYMOUS;
  if (vma.has(VmFlag::gd)) flags |= MAP_GROWSDOWN;
  if (vma.has(VmFlag::nr)) flags |= MAP_NORESERVE;
  if (vma.has(VmFlag::lo)) flags |= MAP_LOCKED;
  return flags;
}

Result<void> examine(const TaskView& task) {
  for (const Vma& vma : task.vmas) {
    const std::string where = fmt::format("mapping {:x}-{:x}", vma.start, vma.end);
    if (special_status(vma) != 0) continue;
    if (vma.has(VmFlag::io) || vma.has(VmFlag::pf)) task.block(where, fmt::format("maps a device ({})", vma.name));
  }
  return {};
}

Result<void> capture_file(TaskCapture& task, const Vma& vma, pb::vma_entry& entry) {
  const int mode = vma.shared && vma.has(VmFlag::mw) ? O_RDWR : O_RDONLY;
  const FdView view = TRY(FdView::of_link(task.proc.dir(), fmt::format("map_files/{:x}-{:x}", vma.start, vma.end), static_cast<uint32_t>(mode)));
  const FileId id = TRY(task.capture.files.add(task, view));
  entry.set_shmid(id.value);
  entry.set_pgoff(vma.offset);
  entry.set_fdflags(static_cast<uint32_t>(mode));
  entry.set_status(kVmaRegular | (vma.shared ? kVmaFileShared : kVmaFilePrivate));
  return {};
}

Result<void> capture(TaskCapture& task) {
  pb::vma_entry* previous = nullptr;
  for (const Vma& vma : task.vmas) {
    const uint32_t special = special_status(vma);
    if ((special & kVmaVvar) != 0 && previous != nullptr && (previous->status() & kVmaVvar) != 0 && previous->end() == vma.start) {
      previous->set_end(vma.end);  // the format has one entry for all vvar mappings
      continue;
    }
    pb::vma_entry& entry = *task.image.mm.add_vmas();
    previous = &entry;
    set_common(vma, entry);
    entry.set_flags(map_flags(vma));
    if (special != 0) entry.set_status(special);
    else if (has_file(vma)) TRY_IN(capture_file(task, vma, entry), "recording the mapping {:x}-{:x} ({})", vma.start, vma.end, vma.name);
    else entry.set_status(kVmaRegular | kVmaAnonPrivate);
  }
  return {};
}

}  // namespace

const TaskKind vmas_kind = {.name = "vmas", .examine = examine, .capture = capture};

}  // namespace cryo
