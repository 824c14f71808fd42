// What kernels newer than the build machine's headers offer, by the kernel's own names. Structs
// that the C library may or may not declare have names of ours, so that newer headers cannot clash.
#pragma once

#include <linux/mempolicy.h>  // its enumerators cannot be tested for: before our own
#include <linux/types.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>

// --- madvise, mmap, mremap
#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // 5.14
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // 5.14
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // 6.1
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102  // 6.13
#endif
#ifndef MADV_GUARD_REMOVE
#define MADV_GUARD_REMOVE 103  // 6.13
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x080000
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08  // 6.11
#endif
#ifndef MAP_ABOVE4G
#define MAP_ABOVE4G 0x80  // 6.6, x86
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // 6.3
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // 6.3
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020  // 6.3
#endif
#ifndef MPOL_WEIGHTED_INTERLEAVE
#define MPOL_WEIGHTED_INTERLEAVE 6  // 6.9
#endif

// --- prctl
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65  // 6.3
#define PR_GET_MDWE 66
#endif
#ifndef PR_MDWE_REFUSE_EXEC_GAIN
#define PR_MDWE_REFUSE_EXEC_GAIN (1UL << 0)
#endif
#ifndef PR_MDWE_NO_INHERIT
#define PR_MDWE_NO_INHERIT (1UL << 1)  // 6.6
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67  // 6.4
#define PR_GET_MEMORY_MERGE 68
#endif
#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856  // 6.4
#endif
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77  // 6.15
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON 1
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif
#ifndef PR_FUTEX_HASH
#define PR_FUTEX_HASH 78  // 6.16
#endif
#ifndef PR_THP_DISABLE_EXCEPT_ADVISED
#define PR_THP_DISABLE_EXCEPT_ADVISED (1 << 1)  // 6.18, flag of PR_SET_THP_DISABLE
#endif

// --- processes
#ifndef PIDFD_THREAD
#define PIDFD_THREAD 00000200  // 6.9: O_EXCL
#endif
#ifndef PIDFD_SIGNAL_THREAD
#define PIDFD_SIGNAL_THREAD (1U << 0)  // 6.9
#define PIDFD_SIGNAL_THREAD_GROUP (1U << 1)
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef RSEQ_SIG
#define RSEQ_SIG 0x53053053  // what glibc registers with on x86
#endif

// --- ptrace
#ifndef PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210  // 6.4
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif
#ifndef PTRACE_SET_SYSCALL_INFO
#define PTRACE_SET_SYSCALL_INFO 0x4212  // 6.16
#endif

// --- pagemap (PAGEMAP_SCAN: 6.7)
#ifndef PAGE_IS_WPALLOWED
#define PAGE_IS_WPALLOWED (1 << 0)
#define PAGE_IS_WRITTEN (1 << 1)
#define PAGE_IS_FILE (1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PAGE_IS_PFNZERO (1 << 5)
#define PAGE_IS_HUGE (1 << 6)
#define PAGE_IS_SOFT_DIRTY (1 << 7)
#endif
#ifndef PAGE_IS_GUARD
#define PAGE_IS_GUARD (1 << 8)  // 6.14
#endif
#ifndef PM_SCAN_WP_MATCHING
#define PM_SCAN_WP_MATCHING (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
#endif

// --- userfaultfd
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)  // 6.4
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)  // 6.6
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)  // 6.7
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (1 << 16)  // 6.8
#endif

// --- fcntl
#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY (1024 + 3)  // 6.10: 1 when both are the same open file
#endif

// --- statx
#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x00001000U  // 5.8
#endif
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U  // 6.8
#endif

namespace cryo::sys {

constexpr long kMseal = 462;  // 6.10; the same number everywhere

// struct clone_args, as of 5.7.
struct CloneArgs {
  uint64_t flags = 0;
  uint64_t pidfd = 0;       // int*
  uint64_t child_tid = 0;   // pid_t*
  uint64_t parent_tid = 0;  // pid_t*
  uint64_t exit_signal = 0;
  uint64_t stack = 0;  // lowest byte
  uint64_t stack_size = 0;
  uint64_t tls = 0;
  uint64_t set_tid = 0;  // pid_t[], innermost namespace first
  uint64_t set_tid_size = 0;
  uint64_t cgroup = 0;
};
static_assert(sizeof(CloneArgs) == 88 && offsetof(CloneArgs, set_tid) == 64);

// struct sched_attr, as of 5.3.
struct SchedAttr {
  uint32_t size = 56;
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;   // ns; EEVDF slice for SCHED_OTHER since 6.12
  uint64_t deadline = 0;  // ns
  uint64_t period = 0;    // ns
  uint32_t util_min = 0;
  uint32_t util_max = 0;
};
static_assert(sizeof(SchedAttr) == 56 && offsetof(SchedAttr, util_max) == 52);

// struct ptrace_rseq_configuration (5.13).
struct RseqConfiguration {
  uint64_t abi_pointer = 0;
  uint32_t abi_size = 0;
  uint32_t signature = 0;
  uint32_t flags = 0;
  uint32_t pad = 0;
};
static_assert(sizeof(RseqConfiguration) == 24);

// struct ptrace_sud_config (6.4).
struct SyscallUserDispatch {
  uint64_t mode = 0;
  uint64_t selector = 0;  // address of the one-byte selector
  uint64_t offset = 0;
  uint64_t length = 0;
};
static_assert(sizeof(SyscallUserDispatch) == 32);

// struct page_region and struct pm_scan_arg (6.7).
struct PageRegion {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t categories = 0;
};
static_assert(sizeof(PageRegion) == 24);

struct PmScanArg {
  uint64_t size = 96;
  uint64_t flags = 0;
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t walk_end = 0;
  uint64_t vec = 0;
  uint64_t vec_len = 0;
  uint64_t max_pages = 0;
  uint64_t category_inverted = 0;
  uint64_t category_mask = 0;
  uint64_t category_anyof_mask = 0;
  uint64_t return_mask = 0;
};
static_assert(sizeof(PmScanArg) == 96);

}  // namespace cryo::sys
