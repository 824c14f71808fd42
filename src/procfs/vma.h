// One memory mapping as /proc/PID/maps and smaps tell it.
//
// The kernel's text is ambiguous in two ways; the symbolic link in /proc/PID/map_files is exact
// (ProcTask::map_file):
// - a newline in a file name is written as \012, a backslash as itself: name has the newline, but a
//   file that is really called a\012b looks the same;
// - " (deleted)" is appended for an unlinked file, but a file may be called "x (deleted)".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cryo::procfs {

// The codes of smaps' VmFlags line, by the kernel's two letters.
enum class VmFlag : uint8_t {
  rd,
  wr,
  ex,
  sh,  // VM_READ, WRITE, EXEC, SHARED
  mr,
  mw,
  me,
  ms,  // VM_MAYREAD, MAYWRITE, MAYEXEC, MAYSHARE
  gd,  // VM_GROWSDOWN
  pf,  // VM_PFNMAP
  gu,  // VM_MAYBE_GUARD: guard regions inside (6.18)
  lo,  // VM_LOCKED
  io,  // VM_IO
  sr,  // VM_SEQ_READ
  rr,  // VM_RAND_READ
  dc,  // VM_DONTCOPY (MADV_DONTFORK)
  de,  // VM_DONTEXPAND
  lf,  // VM_LOCKONFAULT
  ac,  // VM_ACCOUNT
  nr,  // VM_NORESERVE
  ht,  // VM_HUGETLB
  sf,  // VM_SYNC (MAP_SYNC)
  ar,  // VM_ARCH_1
  wf,  // VM_WIPEONFORK
  dd,  // VM_DONTDUMP
  bt,  // VM_ARM64_BTI
  sd,  // VM_SOFTDIRTY
  mm,  // VM_MIXEDMAP
  hg,  // VM_HUGEPAGE
  nh,  // VM_NOHUGEPAGE
  mg,  // VM_MERGEABLE
  um,
  uw,
  ui,  // VM_UFFD_MISSING, WP, MINOR
  mt,  // VM_MTE
  ss,  // VM_SHADOW_STACK (6.6)
  sl,  // VM_SEALED (6.10)
  dp,  // VM_DROPPABLE (6.11)
  count,
};

class VmFlags {
 public:
  bool has(VmFlag flag) const { return (bits_ >> static_cast<unsigned>(flag) & 1) != 0; }
  void set(VmFlag flag) { bits_ |= uint64_t{1} << static_cast<unsigned>(flag); }
  bool empty() const { return bits_ == 0; }
  friend bool operator==(VmFlags, VmFlags) = default;

 private:
  uint64_t bits_ = 0;
};

// What smaps counts, in bytes.
struct VmaUsage {
  uint64_t kernel_page_size = 0;
  uint64_t rss = 0;
  uint64_t anonymous = 0;
  uint64_t lazy_free = 0;
  uint64_t anon_huge = 0;  // at most, where it was not smaps that was read
  uint64_t shmem_huge = 0;
  uint64_t file_huge = 0;
  uint64_t shared_hugetlb = 0;
  uint64_t private_hugetlb = 0;
  uint64_t swap = 0;
  uint64_t locked = 0;
  uint64_t ksm = 0;
  uint64_t protection_key = 0;  // the number itself
};

struct Vma {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t offset = 0;
  uint64_t inode = 0;
  dev_t device = 0;
  int prot = 0;  // PROT_*
  bool shared = false;
  bool deleted = false;  // the text says so: see above
  std::string name;      // without " (deleted)"; "" for plain anonymous memory
  bool default_policy =
      false;      // it certainly has no NUMA policy of its own; maps and smaps do not tell
  VmFlags flags;  // from smaps only, as are the two below
  VmaUsage usage;
  std::string unknown_flags;  // VmFlags codes of a newer kernel, separated by blanks

  uint64_t size() const { return end - start; }
  bool has(VmFlag flag) const { return flags.has(flag); }
  bool contains(uint64_t address) const { return start <= address && address < end; }
  // "7f00-7f10 rw-p name", for messages.
  std::string to_string() const;
};

Result<std::vector<Vma>> parse_maps(std::string_view text);
Result<std::vector<Vma>> parse_smaps(std::string_view text);

// Takes smaps line by line: a task with 50,000 mappings has 35 MB of it, which need not be in
// memory at once.
class SmapsParser {
 public:
  Result<void> line(std::string_view text);
  size_t count() const { return vmas_.size(); }  // the last one may still be incomplete
  std::vector<Vma> take() && { return std::move(vmas_); }

 private:
  Result<void> value_line(std::string_view text);
  std::vector<Vma> vmas_;
  size_t expected_ = 0;  // lines come in a fixed order: where the search for the next one starts
};

std::string_view code_of(VmFlag flag);

}  // namespace cryo::procfs
