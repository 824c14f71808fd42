#include "sys/bpf.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "sys/call.h"

namespace cryo::sys {
namespace {

int bpf(bpf_cmd command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof(attributes)));
}

}  // namespace

Result<Fd> bpf_load_iterator(std::span<const bpf_insn> program, uint32_t function) {
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_TRACING;
  load.expected_attach_type = BPF_TRACE_ITER;
  load.insns = reinterpret_cast<uint64_t>(program.data());
  load.insn_cnt = static_cast<uint32_t>(program.size());
  load.attach_btf_id = function;
  // What the kernel asks of programs that call its tracing helpers.
  load.license = reinterpret_cast<uint64_t>("Dual BSD/GPL");
  return checked_fd(bpf(BPF_PROG_LOAD, load), [] { return "bpf(BPF_PROG_LOAD)"; });
}

Result<Fd> bpf_iterate_process(FdRef program, Pid pid) {
  // Not task.tid, which for mappings begins again and again when there are many (6.18).
  bpf_iter_link_info which{};
  which.task.pid = static_cast<uint32_t>(pid.value);
  bpf_attr make{};
  make.link_create.prog_fd = static_cast<uint32_t>(program.raw());
  make.link_create.attach_type = BPF_TRACE_ITER;
  make.link_create.iter_info = reinterpret_cast<uint64_t>(&which);
  make.link_create.iter_info_len = sizeof(which);
  const Fd link = TRY(checked_fd(bpf(BPF_LINK_CREATE, make),
                                 [&] { return fmt::format("bpf(BPF_LINK_CREATE, {})", pid); }));
  bpf_attr iterate{};
  iterate.iter_create.link_fd = static_cast<uint32_t>(link.raw());
  return checked_fd(bpf(BPF_ITER_CREATE, iterate), [] { return "bpf(BPF_ITER_CREATE)"; });
}

}  // namespace cryo::sys
