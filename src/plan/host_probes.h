// The probes behind Host: each asks the running kernel one question and leaves everything as it was.
#pragma once

namespace cryo::probes {

bool map_files();
bool kcmp();
bool set_mm_map();
bool get_tid_address();
bool peeksiginfo();
bool clone3_set_tid();
bool mnt_id();
bool pidfd_getfd();
bool futex_waitv();
bool openat2();

bool seccomp_suspend();
bool seccomp_filters();
bool get_rseq_conf();
bool timer_cr_ids();
bool timerfd();
bool memfd_hugetlb();
bool loginuid();
bool aio_remap();
bool kcmp_epoll();
bool fdinfo_lock();
bool owner_uids();
bool ns_pid();
bool syscall_user_dispatch();
bool set_vma_name();
bool droppable_memory();

bool pagemap_scan();
bool pagemap_scan_guard_pages();
bool guard_pages();
bool set_syscall_info();
bool membarrier_registrations();
bool memory_merge();

}  // namespace cryo::probes
