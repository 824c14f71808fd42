#include "sys/ptrace.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys/call.h"

namespace cryo::sys {
namespace {

long raw(long request, Tid tid, uint64_t address, uint64_t data) {
  return ::syscall(SYS_ptrace, request, tid.value, address, data);
}
uint64_t at(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

Result<long> ptrace(const char* name, long request, Tid tid, uint64_t address, uint64_t data) {
  return checked(raw(request, tid, address, data), [&] {
    return fmt::format("ptrace({}, {}, {:#x}, {:#x})", name, tid, address, data);
  });
}

Result<void> ptrace_void(const char* name, long request, Tid tid, uint64_t address, uint64_t data) {
  TRY(ptrace(name, request, tid, address, data));
  return {};
}

}  // namespace

Result<void> ptrace_seize(Tid tid, unsigned options) {
  return ptrace_void("SEIZE", PTRACE_SEIZE, tid, 0, options);
}
Result<void> ptrace_interrupt(Tid tid) {
  return ptrace_void("INTERRUPT", PTRACE_INTERRUPT, tid, 0, 0);
}
Result<void> ptrace_cont(Tid tid, int signal) {
  return ptrace_void("CONT", PTRACE_CONT, tid, 0, static_cast<uint64_t>(signal));
}
Result<void> ptrace_syscall(Tid tid, int signal) {
  return ptrace_void("SYSCALL", PTRACE_SYSCALL, tid, 0, static_cast<uint64_t>(signal));
}
Result<void> ptrace_listen(Tid tid) { return ptrace_void("LISTEN", PTRACE_LISTEN, tid, 0, 0); }
Result<void> ptrace_detach(Tid tid, int signal) {
  return ptrace_void("DETACH", PTRACE_DETACH, tid, 0, static_cast<uint64_t>(signal));
}
Result<void> ptrace_setoptions(Tid tid, unsigned options) {
  return ptrace_void("SETOPTIONS", PTRACE_SETOPTIONS, tid, 0, options);
}

Result<size_t> ptrace_getregset(Tid tid, uint32_t note, void* out, size_t size) {
  iovec buffer{out, size};
  TRY(ptrace("GETREGSET", PTRACE_GETREGSET, tid, note, at(&buffer)));
  return buffer.iov_len;
}

Result<void> ptrace_setregset(Tid tid, uint32_t note, const void* data, size_t size) {
  iovec buffer{const_cast<void*>(data), size};
  return ptrace_void("SETREGSET", PTRACE_SETREGSET, tid, note, at(&buffer));
}

Result<SigSet> ptrace_getsigmask(Tid tid) {
  SigSet mask = 0;
  TRY(ptrace("GETSIGMASK", PTRACE_GETSIGMASK, tid, sizeof mask, at(&mask)));
  return mask;
}

Result<void> ptrace_setsigmask(Tid tid, SigSet mask) {
  return ptrace_void("SETSIGMASK", PTRACE_SETSIGMASK, tid, sizeof mask, at(&mask));
}

Result<siginfo_t> ptrace_getsiginfo(Tid tid) {
  siginfo_t info{};
  TRY(ptrace("GETSIGINFO", PTRACE_GETSIGINFO, tid, 0, at(&info)));
  return info;
}

Result<void> ptrace_setsiginfo(Tid tid, const siginfo_t& info) {
  return ptrace_void("SETSIGINFO", PTRACE_SETSIGINFO, tid, 0, at(&info));
}

Result<size_t> ptrace_peeksiginfo(Tid tid, bool shared, uint64_t from, std::span<siginfo_t> out) {
  ptrace_peeksiginfo_args args{};
  args.off = from;
  args.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0;
  args.nr = static_cast<int32_t>(out.size());
  const long n = TRY(ptrace("PEEKSIGINFO", PTRACE_PEEKSIGINFO, tid, at(&args), at(out.data())));
  return static_cast<size_t>(n);
}

Result<std::vector<siginfo_t>> ptrace_pending_signals(Tid tid, bool shared) {
  constexpr size_t kStep = 32;
  std::vector<siginfo_t> all;
  while (true) {
    const size_t had = all.size();
    all.resize(had + kStep);
    const size_t n =
        TRY(ptrace_peeksiginfo(tid, shared, had, std::span<siginfo_t>(all).subspan(had)));
    all.resize(had + n);
    if (n < kStep) return all;
  }
}

Result<uint64_t> ptrace_geteventmsg(Tid tid) {
  unsigned long message = 0;
  TRY(ptrace("GETEVENTMSG", PTRACE_GETEVENTMSG, tid, 0, at(&message)));
  return uint64_t{message};
}

Result<ptrace_syscall_info> ptrace_get_syscall_info(Tid tid) {
  ptrace_syscall_info info{};
  TRY(ptrace("GET_SYSCALL_INFO", PTRACE_GET_SYSCALL_INFO, tid, sizeof info, at(&info)));
  return info;
}

Result<std::optional<std::vector<sock_filter>>> ptrace_seccomp_get_filter(Tid tid, uint64_t index) {
  using Filter = std::optional<std::vector<sock_filter>>;
  const long size = raw(PTRACE_SECCOMP_GET_FILTER, tid, index, 0);
  if (size < 0) {
    const int err = errno;
    // ENOENT: fewer filters than that. EINVAL: the task is not in filter mode at all.
    if (err == ENOENT || err == EINVAL) return Filter();
    return Error::os(err, fmt::format("ptrace(SECCOMP_GET_FILTER, {}, {})", tid, index));
  }
  std::vector<sock_filter> program(static_cast<size_t>(size));
  TRY(ptrace("SECCOMP_GET_FILTER", PTRACE_SECCOMP_GET_FILTER, tid, index, at(program.data())));
  return Filter(std::move(program));
}

Result<uint64_t> ptrace_seccomp_get_flags(Tid tid, uint64_t index) {
  seccomp_metadata metadata{};
  metadata.filter_off = index;
  TRY(ptrace("SECCOMP_GET_METADATA", PTRACE_SECCOMP_GET_METADATA, tid, sizeof metadata,
             at(&metadata)));
  return uint64_t{metadata.flags};
}

Result<RseqConfiguration> ptrace_get_rseq_configuration(Tid tid) {
  RseqConfiguration configuration;
  TRY(ptrace("GET_RSEQ_CONFIGURATION", PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof configuration,
             at(&configuration)));
  return configuration;
}

Result<SyscallUserDispatch> ptrace_get_syscall_user_dispatch(Tid tid) {
  SyscallUserDispatch dispatch;
  TRY(ptrace("GET_SYSCALL_USER_DISPATCH_CONFIG", PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid,
             sizeof dispatch, at(&dispatch)));
  return dispatch;
}

Result<void> ptrace_set_syscall_user_dispatch(Tid tid, const SyscallUserDispatch& dispatch) {
  return ptrace_void("SET_SYSCALL_USER_DISPATCH_CONFIG", PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG,
                     tid, sizeof dispatch, at(&dispatch));
}

}  // namespace cryo::sys
