#include "puppet/syscall_names.h"

#include <fmt/format.h>
#include <sys/syscall.h>

namespace cryo {
namespace {

struct Name {
  long nr;
  const char* name;
};

// The calls that batches use.
constexpr Name kNames[] = {
    {SYS_read, "read"}, {SYS_write, "write"}, {SYS_close, "close"}, {SYS_lseek, "lseek"},
    {SYS_mmap, "mmap"}, {SYS_mprotect, "mprotect"}, {SYS_munmap, "munmap"}, {SYS_brk, "brk"},
    {SYS_rt_sigaction, "rt_sigaction"}, {SYS_rt_sigprocmask, "rt_sigprocmask"},
    {SYS_rt_sigpending, "rt_sigpending"}, {SYS_ioctl, "ioctl"}, {SYS_pread64, "pread64"},
    {SYS_pwrite64, "pwrite64"}, {SYS_readv, "readv"}, {SYS_writev, "writev"},
    {SYS_preadv, "preadv"}, {SYS_pwritev, "pwritev"}, {SYS_sched_yield, "sched_yield"},
    {SYS_mremap, "mremap"}, {SYS_msync, "msync"}, {SYS_mincore, "mincore"},
    {SYS_madvise, "madvise"}, {SYS_shmget, "shmget"}, {SYS_shmat, "shmat"}, {SYS_shmdt, "shmdt"},
    {SYS_dup, "dup"}, {SYS_dup3, "dup3"}, {SYS_nanosleep, "nanosleep"},
    {SYS_getitimer, "getitimer"}, {SYS_setitimer, "setitimer"}, {SYS_getpid, "getpid"},
    {SYS_sendmsg, "sendmsg"}, {SYS_recvmsg, "recvmsg"}, {SYS_socket, "socket"},
    {SYS_socketpair, "socketpair"}, {SYS_exit, "exit"}, {SYS_exit_group, "exit_group"},
    {SYS_wait4, "wait4"}, {SYS_kill, "kill"}, {SYS_uname, "uname"}, {SYS_fcntl, "fcntl"},
    {SYS_flock, "flock"}, {SYS_fsync, "fsync"}, {SYS_ftruncate, "ftruncate"},
    {SYS_getcwd, "getcwd"}, {SYS_chdir, "chdir"}, {SYS_fchdir, "fchdir"}, {SYS_umask, "umask"},
    {SYS_getrlimit, "getrlimit"}, {SYS_setuid, "setuid"}, {SYS_setgid, "setgid"},
    {SYS_setpgid, "setpgid"}, {SYS_setsid, "setsid"}, {SYS_setreuid, "setreuid"},
    {SYS_setresuid, "setresuid"}, {SYS_setregid, "setregid"}, {SYS_setresgid, "setresgid"},
    {SYS_setgroups, "setgroups"}, {SYS_setfsuid, "setfsuid"}, {SYS_setfsgid, "setfsgid"},
    {SYS_getpgid, "getpgid"}, {SYS_getsid, "getsid"}, {SYS_capget, "capget"},
    {SYS_capset, "capset"}, {SYS_rt_sigtimedwait, "rt_sigtimedwait"},
    {SYS_rt_sigqueueinfo, "rt_sigqueueinfo"}, {SYS_rt_sigsuspend, "rt_sigsuspend"},
    {SYS_sigaltstack, "sigaltstack"}, {SYS_personality, "personality"}, {SYS_statfs, "statfs"},
    {SYS_getpriority, "getpriority"}, {SYS_setpriority, "setpriority"},
    {SYS_sched_setparam, "sched_setparam"}, {SYS_sched_setscheduler, "sched_setscheduler"},
    {SYS_mlock, "mlock"}, {SYS_mlock2, "mlock2"}, {SYS_munlock, "munlock"},
    {SYS_mlockall, "mlockall"}, {SYS_munlockall, "munlockall"}, {SYS_prctl, "prctl"},
    {SYS_setrlimit, "setrlimit"}, {SYS_chroot, "chroot"}, {SYS_mount, "mount"},
    {SYS_umount2, "umount2"}, {SYS_gettid, "gettid"}, {SYS_tkill, "tkill"}, {SYS_tgkill, "tgkill"},
    {SYS_futex, "futex"}, {SYS_sched_setaffinity, "sched_setaffinity"},
    {SYS_sched_getaffinity, "sched_getaffinity"}, {SYS_io_setup, "io_setup"},
    {SYS_io_destroy, "io_destroy"}, {SYS_io_getevents, "io_getevents"},
    {SYS_io_submit, "io_submit"}, {SYS_io_cancel, "io_cancel"},
    {SYS_epoll_create1, "epoll_create1"}, {SYS_epoll_ctl, "epoll_ctl"},
    {SYS_epoll_pwait, "epoll_pwait"}, {SYS_set_tid_address, "set_tid_address"},
    {SYS_timer_create, "timer_create"}, {SYS_timer_settime, "timer_settime"},
    {SYS_timer_gettime, "timer_gettime"}, {SYS_timer_getoverrun, "timer_getoverrun"},
    {SYS_timer_delete, "timer_delete"}, {SYS_clock_gettime, "clock_gettime"},
    {SYS_clock_nanosleep, "clock_nanosleep"}, {SYS_mbind, "mbind"},
    {SYS_set_mempolicy, "set_mempolicy"}, {SYS_get_mempolicy, "get_mempolicy"},
    {SYS_waitid, "waitid"}, {SYS_ioprio_set, "ioprio_set"}, {SYS_ioprio_get, "ioprio_get"},
    {SYS_openat, "openat"}, {SYS_mkdirat, "mkdirat"}, {SYS_unlinkat, "unlinkat"},
    {SYS_linkat, "linkat"}, {SYS_readlinkat, "readlinkat"}, {SYS_ppoll, "ppoll"},
    {SYS_pselect6, "pselect6"}, {SYS_unshare, "unshare"}, {SYS_set_robust_list, "set_robust_list"},
    {SYS_get_robust_list, "get_robust_list"}, {SYS_splice, "splice"}, {SYS_tee, "tee"},
    {SYS_vmsplice, "vmsplice"}, {SYS_signalfd4, "signalfd4"},
    {SYS_timerfd_create, "timerfd_create"}, {SYS_timerfd_settime, "timerfd_settime"},
    {SYS_timerfd_gettime, "timerfd_gettime"}, {SYS_eventfd2, "eventfd2"}, {SYS_pipe2, "pipe2"},
    {SYS_inotify_init1, "inotify_init1"}, {SYS_preadv2, "preadv2"}, {SYS_pwritev2, "pwritev2"},
    {SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo"}, {SYS_perf_event_open, "perf_event_open"},
    {SYS_prlimit64, "prlimit64"}, {SYS_clock_adjtime, "clock_adjtime"}, {SYS_setns, "setns"},
    {SYS_process_vm_readv, "process_vm_readv"}, {SYS_process_vm_writev, "process_vm_writev"},
    {SYS_kcmp, "kcmp"}, {SYS_sched_setattr, "sched_setattr"}, {SYS_sched_getattr, "sched_getattr"},
    {SYS_renameat2, "renameat2"}, {SYS_seccomp, "seccomp"}, {SYS_memfd_create, "memfd_create"},
    {SYS_userfaultfd, "userfaultfd"}, {SYS_membarrier, "membarrier"},
    {SYS_copy_file_range, "copy_file_range"}, {SYS_pkey_mprotect, "pkey_mprotect"},
    {SYS_pkey_alloc, "pkey_alloc"}, {SYS_pkey_free, "pkey_free"}, {SYS_statx, "statx"},
    {SYS_rseq, "rseq"}, {SYS_pidfd_send_signal, "pidfd_send_signal"}, {SYS_open_tree, "open_tree"},
    {SYS_move_mount, "move_mount"}, {SYS_fsopen, "fsopen"}, {SYS_fsconfig, "fsconfig"},
    {SYS_fsmount, "fsmount"}, {SYS_pidfd_open, "pidfd_open"}, {SYS_clone3, "clone3"},
    {SYS_close_range, "close_range"}, {SYS_openat2, "openat2"}, {SYS_pidfd_getfd, "pidfd_getfd"},
    {SYS_process_madvise, "process_madvise"}, {SYS_mount_setattr, "mount_setattr"},
    {SYS_memfd_secret, "memfd_secret"}, {SYS_futex_waitv, "futex_waitv"},
    {SYS_set_mempolicy_home_node, "set_mempolicy_home_node"}, {SYS_getrandom, "getrandom"},
#ifdef SYS_arch_prctl
    {SYS_arch_prctl, "arch_prctl"},
#endif
    {SYS_restart_syscall, "restart_syscall"},
};

}  // namespace

std::string syscall_name(long nr) {
  for (const Name& known : kNames)
    if (known.nr == nr) return known.name;
  return fmt::format("syscall {}", nr);
}

}  // namespace cryo
