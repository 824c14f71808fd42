// The mappings of a task with many of them, faster than smaps tells. smaps costs the kernel a walk of the page tables and
// 700 bytes of text for each mapping; maps lacks the flags only. Those come from a BPF program, as the kernel's bits;
// what they mean is learnt from mappings whose smaps has been read, so that no number of the kernel's is taken for granted.
//
// Needs kernel 6.1 with BTF, CAP_BPF and CAP_PERFMON.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "procfs/reader.h"
#include "sys/btf.h"

namespace cryo {

struct MappingRecord {
  uint64_t start;
  uint64_t flags;       // vm_flags
  bool default_policy;  // neither a NUMA policy nor an object that might have one
};

class MappingRecorder {
 public:
  explicit MappingRecorder(sys::KernelBtf& btf);
  ~MappingRecorder();

  // Takes the first `most` mappings that smaps shows of `task` as samples. The task may run: what changed meanwhile
  // is no sample.
  Result<void> learn(const procfs::ProcTask& task, Pid pid, size_t most);

  // Whether read() has a chance.
  bool has_learnt() const { return !meanings_.empty(); }

  // What smaps would show of a task that does not run, but for VmaUsage: of that there is anon_huge only, as an
  // upper limit. Unsupported: there are flags that no sample had.
  Result<std::vector<procfs::Vma>> read(const procfs::ProcTask& task, Pid pid);

 private:
  struct Program;
  struct Meaning {
    procfs::VmFlags flags;
    std::string unknown_flags;
  };
  Result<Program*> program();
  Result<std::vector<MappingRecord>> records(Pid pid, size_t most);

  sys::KernelBtf* btf_;
  std::unique_ptr<Program> program_;
  std::unordered_map<uint64_t, Meaning> meanings_;  // by the kernel's bits
};

}  // namespace cryo
