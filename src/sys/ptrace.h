// ptrace, request by request. ESRCH (dead, or not stopped) is ErrorKind::gone.
//
// Takes the kernel's header: <sys/ptrace.h> clashes with it, do not include both.
#pragma once

#include <linux/filter.h>
#include <linux/ptrace.h>

#include <csignal>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "sys/signal.h"
#include "sys/uapi.h"

namespace cryo::sys {

Result<void> ptrace_seize(Tid tid, unsigned options);  // PTRACE_O_*; the task runs on
Result<void> ptrace_interrupt(Tid tid);
Result<void> ptrace_cont(Tid tid, int signal = 0);
Result<void> ptrace_syscall(Tid tid,
                            int signal = 0);  // run to the next entry or exit of a system call
Result<void> ptrace_listen(Tid tid);          // let a group-stop be one
Result<void> ptrace_detach(Tid tid, int signal = 0);
Result<void> ptrace_setoptions(Tid tid, unsigned options);

// Register sets by ELF note (NT_PRSTATUS, NT_X86_XSTATE...). Reading returns the bytes filled.
Result<size_t> ptrace_getregset(Tid tid, uint32_t note, void* out, size_t size);
Result<void> ptrace_setregset(Tid tid, uint32_t note, const void* data, size_t size);

Result<SigSet> ptrace_getsigmask(Tid tid);
Result<void> ptrace_setsigmask(Tid tid, SigSet mask);
Result<siginfo_t> ptrace_getsiginfo(Tid tid);
Result<void> ptrace_setsiginfo(Tid tid, const siginfo_t& info);
// Up to out.size() pending signals from position `from` on, without taking them; of the whole
// thread group when `shared`. Returns how many.
Result<size_t> ptrace_peeksiginfo(Tid tid, bool shared, uint64_t from, std::span<siginfo_t> out);
Result<std::vector<siginfo_t>> ptrace_pending_signals(Tid tid, bool shared);
Result<uint64_t> ptrace_geteventmsg(Tid tid);
Result<ptrace_syscall_info> ptrace_get_syscall_info(Tid tid);

// Filter `index` (0 is the last one installed); nothing past the end. Needs CAP_SYS_ADMIN.
Result<std::optional<std::vector<sock_filter>>> ptrace_seccomp_get_filter(Tid tid, uint64_t index);
Result<uint64_t> ptrace_seccomp_get_flags(Tid tid, uint64_t index);  // SECCOMP_GET_METADATA
Result<RseqConfiguration> ptrace_get_rseq_configuration(Tid tid);
Result<SyscallUserDispatch> ptrace_get_syscall_user_dispatch(Tid tid);
Result<void> ptrace_set_syscall_user_dispatch(Tid tid, const SyscallUserDispatch& dispatch);

}  // namespace cryo::sys
