// Any text through every parser: procfs is the kernel's, but names in it are the task's.
#include <cstddef>
#include <cstdint>
#include <string>

#include "procfs/fdinfo.h"
#include "procfs/mountinfo.h"
#include "procfs/stat.h"
#include "procfs/status.h"
#include "procfs/task_files.h"
#include "procfs/vma.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace procfs = cryo::procfs;
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)procfs::parse_maps(text);
  (void)procfs::parse_smaps(text);
  (void)procfs::parse_stat(text);
  (void)procfs::parse_status(text);
  (void)procfs::parse_limits(text);
  (void)procfs::parse_timers(text);
  (void)procfs::parse_auxv(text);
  (void)procfs::parse_syscall(text);
  (void)procfs::parse_numa_maps(text);
  (void)procfs::parse_cgroup(text);
  (void)procfs::parse_children(text);
  (void)procfs::parse_mountinfo(text);
  (void)procfs::parse_link(text);
  if (const cryo::Result<procfs::FdInfo> info = procfs::FdInfo::parse(text)) {
    (void)procfs::epoll_targets(info.value());
    (void)procfs::inotify_watches(info.value());
    (void)procfs::timerfd_info(info.value());
  }
  return 0;
}
