// The mappings of an address space, as smaps describes them. How they come back: layout.cc; what is in them:
// pages.cc.
#include <fcntl.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <bit>
#include <map>
#include <tuple>

#include "kinds/all.h"
#include "kinds/mm/memory_object.h"
#include "kinds/mm/vma_status.h"
#include "kinds/registry.h"

namespace cryo {
namespace {

using procfs::Vma;
using procfs::VmFlag;

struct AdviceFlag {
  VmFlag flag;
  int advice;
};
constexpr AdviceFlag kAdvice[] = {
    {VmFlag::sr, MADV_SEQUENTIAL}, {VmFlag::rr, MADV_RANDOM},     {VmFlag::dc, MADV_DONTFORK},
    {VmFlag::dd, MADV_DONTDUMP},   {VmFlag::mg, MADV_MERGEABLE},  {VmFlag::nh, MADV_NOHUGEPAGE},
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

// smaps has the name of a file for anonymous hugetlb memory.
bool is_anonymous_huge(const Vma& vma) {
  return vma.has(VmFlag::ht) && !vma.shared && vma.name == "/anon_hugepage";
}

bool has_file(const Vma& vma) {
  return (vma.inode != 0 || !(vma.name.empty() || vma.name.starts_with('['))) &&
         !is_anonymous_huge(vma);
}

// The O_* that a mapping needs its file to be opened with.
int access_of(const Vma& vma) { return vma.shared && vma.has(VmFlag::mw) ? O_RDWR : O_RDONLY; }

// Looks at each mapped file once, however often it is mapped: an address space may have tens of thousands of
// mappings of a few files.
template <class T>
class PerFile {
 public:
  T& of(const Vma& vma) {
    return seen_[std::tuple(vma.device, vma.inode, vma.name, vma.deleted, access_of(vma))];
  }

 private:
  std::map<std::tuple<dev_t, uint64_t, std::string, bool, int>, T> seen_;
};

Result<FdView> view_file(const TaskView& task, const Vma& vma) {
  return FdView::of_link(task.proc.dir(), fmt::format("map_files/{:x}-{:x}", vma.start, vma.end),
                         static_cast<uint32_t>(access_of(vma)));
}

// --- what cannot be dumped

struct BlockingFlag {
  VmFlag flag;
  const char* what;
  const char* remedy;
};
constexpr BlockingFlag kBlocking[] = {
    {VmFlag::io, "maps the memory of a device", "end what uses the device"},
    {VmFlag::pf, "maps the memory of a device", "end what uses the device"},
    {VmFlag::um, "is watched with a userfaultfd (missing pages)", ""},
    {VmFlag::uw, "is watched with a userfaultfd (writes)", ""},
    {VmFlag::ui, "is watched with a userfaultfd (minor faults)", ""},
    {VmFlag::ss, "is a shadow stack",
     "start the program with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"},
    {VmFlag::mt, "has memory tags", ""},
};

std::string place_of(const Vma& vma) {
  return fmt::format("mapping {:x}-{:x}", vma.start, vma.end);
}

std::string blocking_name(std::string_view name) {
  if (name == "[uprobes]") return "is there because the process is traced with uprobes";
  if (name.starts_with("socket:[")) return "is the ring of a packet socket";
  if (name.starts_with("anon_inode:")) return fmt::format("maps a kernel object ({})", name);
  return "";
}

Result<std::string> blocking_file(const TaskView& task, const Vma& vma) {
  const FdView view = TRY(view_file(task, vma));
  switch (unnamed_memory(view)) {
    case Unnamed::sysv_segment:
      return fmt::format("is a System V shared memory segment ({})", view.link);
    case Unnamed::secret_memory:
      return std::string("is secret memory (memfd_secret), which nobody else can read");
    case Unnamed::other:
      return fmt::format("maps a kernel object ({})", view.link);
    default:
      break;
  }
  if (view.link.starts_with("/[aio]"))
    return std::string("is the ring of asynchronous I/O (io_setup)");
  const bool zero_device = S_ISCHR(view.st.st_mode) && view.st.st_rdev == makedev(1, 5);
  const FileKind* kind = file_kind_of(view);
  if ((!S_ISREG(view.st.st_mode) && !zero_device) || kind == nullptr)
    return fmt::format("maps a file of a kind that cannot be dumped yet ({})", view.link);
  if (kind->examine != nullptr) TRY(kind->examine(task, view));
  return std::string();
}

std::string blocking_state(const Vma& vma) {
  if (!vma.unknown_flags.empty())
    return fmt::format("has flags that cryo does not know ({})", vma.unknown_flags);
  if (vma.usage.protection_key != 0)
    return fmt::format("has protection key {}", vma.usage.protection_key);
  return blocking_name(vma.name);
}

Result<void> examine(const TaskView& task) {
  PerFile<std::optional<std::string>> files;
  for (const Vma& vma : task.vmas) {
    if ((special_status(vma) & ~uint32_t{kVmaRegular | kVmaHeap | kVmaAnonPrivate}) != 0) continue;
    for (const BlockingFlag& blocking : kBlocking) {
      if (!vma.has(blocking.flag)) continue;
      task.block(place_of(vma), fmt::format("{} ({})", blocking.what, vma.name), blocking.remedy);
      break;
    }
    std::string state = blocking_state(vma);
    if (!state.empty())
      task.block(place_of(vma), std::move(state));
    else if (has_file(vma)) {
      std::optional<std::string>& file = files.of(vma);
      if (!file) {
        Result<std::string> found = blocking_file(task, vma);
        // The task may be running: what was there a moment ago need not be there now.
        if (!found) continue;
        file = std::move(found).value();
      }
      if (!file->empty()) task.block(place_of(vma), *file);
    }
  }
  return {};
}

// --- dump

uint32_t map_flags(const Vma& vma) {
  uint32_t flags = MAP_PRIVATE;
  if (vma.shared)
    flags = vma.has(VmFlag::sf) ? uint32_t{MAP_SHARED_VALIDATE} | MAP_SYNC : uint32_t{MAP_SHARED};
  if (vma.has(VmFlag::dp)) flags = MAP_DROPPABLE;
  if (!has_file(vma)) flags |= MAP_ANONYMOUS;
  if (vma.has(VmFlag::gd)) flags |= MAP_GROWSDOWN;
  if (vma.has(VmFlag::nr)) flags |= MAP_NORESERVE;
  if (vma.has(VmFlag::lo)) flags |= MAP_LOCKED;
  if (vma.has(VmFlag::ht))
    flags |= MAP_HUGETLB | static_cast<uint32_t>(std::countr_zero(vma.usage.kernel_page_size))
                               << MAP_HUGE_SHIFT;
  return flags;
}

void set_common(const Vma& vma, pb::vma_entry& entry) {
  entry.set_start(vma.start);
  entry.set_end(vma.end);
  entry.set_pgoff(0);
  entry.set_shmid(0);
  entry.set_prot(static_cast<uint32_t>(vma.prot));
  entry.set_fd(-1);
  entry.set_flags(map_flags(vma));
  uint64_t advice = 0;
  for (const AdviceFlag& known : kAdvice)
    if (vma.has(known.flag)) advice |= uint64_t{1} << known.advice;
  if (advice != 0) entry.set_madv(advice);
}

// "[anon:name]", "[anon_shmem:name]": kernels with CONFIG_ANON_VMA_NAME.
std::string_view given_name(const Vma& vma) {
  const std::string_view name = vma.name;
  for (const std::string_view prefix : {"[anon:", "[anon_shmem:"})
    if (name.starts_with(prefix) && name.ends_with(']'))
      return name.substr(prefix.size(), name.size() - prefix.size() - 1);
  return {};
}

void set_extra(const Vma& vma, pb::cryo_mm& mm) {
  pb::cryo_vma extra;
  extra.set_start(vma.start);
  if (vma.has(VmFlag::lf)) extra.set_lock_on_fault(true);
  if (vma.has(VmFlag::sl)) extra.set_sealed(true);
  if (const std::string_view name = given_name(vma); !name.empty())
    extra.set_name(std::string(name));
  const bool any = extra.has_lock_on_fault() || extra.has_sealed() || extra.has_name();
  if (any) *mm.add_vmas() = std::move(extra);
}

struct MappedFile {
  FileId id{0};
  uint32_t memfd = 0;
};

Result<void> capture_file(TaskCapture& task, const Vma& vma,
                          PerFile<std::optional<MappedFile>>& files, pb::vma_entry& entry) {
  std::optional<MappedFile>& file = files.of(vma);
  if (!file) {
    const FdView view = TRY(view_file(task, vma));
    const FileId id = TRY(task.capture.files.add(task, view));
    file = MappedFile{id, unnamed_memory(view) == Unnamed::memory_object ? uint32_t{kVmaMemfd} : 0};
  }
  entry.set_shmid(file->id.value);
  entry.set_pgoff(vma.offset);
  entry.set_fdflags(static_cast<uint32_t>(access_of(vma)));
  entry.set_status(kVmaRegular | (vma.shared ? kVmaFileShared : kVmaFilePrivate) | file->memfd);
  return {};
}

Result<void> capture(TaskCapture& task) {
  PerFile<std::optional<MappedFile>> files;
  pb::cryo_mm& extra = *task.image.extra.mutable_mm();
  pb::vma_entry* previous = nullptr;
  for (const Vma& vma : task.vmas) {
    const uint32_t special = special_status(vma);
    if ((special & kVmaVvar) != 0 && previous != nullptr && (previous->status() & kVmaVvar) != 0 &&
        previous->end() == vma.start) {
      previous->set_end(vma.end);  // the format has one entry for all vvar mappings
      continue;
    }
    pb::vma_entry& entry = *task.image.mm.add_vmas();
    previous = &entry;
    set_common(vma, entry);
    if (special == 0 || (special & kVmaHeap) != 0) set_extra(vma, extra);
    if (special != 0)
      entry.set_status(special);
    else if (has_file(vma))
      TRY_IN(capture_file(task, vma, files, entry), "recording the mapping {:x}-{:x} ({})",
             vma.start, vma.end, vma.name);
    else
      entry.set_status(kVmaRegular | kVmaAnonPrivate);
  }
  return {};
}

}  // namespace

const TaskKind vmas_kind = {.name = "vmas", .examine = examine, .capture = capture};

}  // namespace cryo
