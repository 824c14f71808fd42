// Programs that run in the kernel, bpf(2). They need CAP_BPF and CAP_PERFMON.
#pragma once

#include <linux/bpf.h>

#include <span>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"

namespace cryo::sys {

// A program that an iterator calls for each thing it meets; `function` is the iterator's bpf_iter_... in the
// kernel's BTF. Documentation/bpf/bpf_iterators.rst; kernel 5.8.
Result<Fd> bpf_load_iterator(std::span<const bpf_insn> program, uint32_t function);

// What `program` writes for the process `pid`, to be read(2): of bpf_iter_task for each of its threads, of
// bpf_iter_task_vma for each mapping; the latter again for threads that do not share their files with the leader.
// Kernel 6.1.
Result<Fd> bpf_iterate_process(FdRef program, Pid pid);

}  // namespace cryo::sys
