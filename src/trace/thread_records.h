// What the kernel keeps of each thread of a process, read from its task_struct by a BPF program, at the places that
// the kernel's own BTF names: of all threads at once, in about a microsecond each, without letting any of them run.
// Part of it no interface shows at all.
//
// Needs kernel 6.1 with BTF, CAP_BPF and CAP_PERFMON.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "trace/restart_block.h"

namespace cryo {

struct ThreadRecord {
  RestartBlock restart;  // when the thread is in no interrupted wait: left from an earlier one
  std::string comm;
  uint64_t pending = 0;  // signals of its own
  uint64_t clear_child_tid = 0;
  // sigaltstack(2); the size is 0 when there is none.
  uint64_t signal_stack = 0, signal_stack_size = 0;
  uint32_t signal_stack_flags = 0;
  // Which table of open files, root and working directory, and namespaces: equal where they are shared.
  uint64_t files = 0, fs = 0, namespaces = 0;
  bool has_children = false;
  // Equal in two threads of one process when they have the same credentials, name spaces, control group, seccomp
  // filters, memory policy, personality, prctl(2) settings and CPU switches. That they differ means nothing.
  std::string likeness;
};

// By the threads' numbers in their own PID namespace.
using ThreadRecords = std::map<int32_t, ThreadRecord>;

class ThreadRecorder {
 public:
  explicit ThreadRecorder(sys::KernelBtf& btf);
  ~ThreadRecorder();
  // The first call loads the program, which takes 1 ms. Where that is not possible every call says why.
  Result<ThreadRecords> read(Pid pid);

 private:
  struct Program;
  sys::KernelBtf* btf_;
  std::unique_ptr<Program> program_;
  std::string failure_;
};

}  // namespace cryo
