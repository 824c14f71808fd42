// /proc/PID/stat: one line of 52 fields (proc(5) numbers them from 1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cryo::procfs {

struct TaskStat {
  int32_t pid = 0;
  std::string comm;  // may hold anything, also ")" and newlines
  char state = '?';  // R S D T t Z X I
  int32_t ppid = 0;
  int32_t pgrp = 0;
  int32_t session = 0;
  int32_t tty = 0;  // device number of the controlling terminal, 0 without one
  int32_t tpgid = 0;
  uint64_t flags = 0;  // PF_*
  uint64_t utime = 0;  // ticks
  uint64_t stime = 0;
  int64_t cutime = 0;
  int64_t cstime = 0;
  int64_t priority = 0;
  int64_t nice = 0;
  int64_t threads = 0;
  uint64_t start_time = 0;  // ticks since boot
  uint64_t vsize = 0;
  int64_t rss_pages = 0;
  uint64_t start_code = 0;  // the addresses are 0 (start_code: 1) without PTRACE_MODE_READ
  uint64_t end_code = 0;
  uint64_t start_stack = 0;
  int64_t exit_signal = 0;
  int64_t processor = 0;
  uint64_t rt_priority = 0;
  uint64_t policy = 0;
  uint64_t start_data = 0;
  uint64_t end_data = 0;
  uint64_t start_brk = 0;
  uint64_t arg_start = 0;
  uint64_t arg_end = 0;
  uint64_t env_start = 0;
  uint64_t env_end = 0;
  int64_t exit_code = 0;  // a wait status

  bool kernel_thread() const { return (flags & 0x00200000) != 0; }  // PF_KTHREAD
  bool exiting() const { return (flags & 0x00000004) != 0; }        // PF_EXITING
  bool zombie() const { return state == 'Z' || state == 'X'; }
};

Result<TaskStat> parse_stat(std::string_view text);

}  // namespace cryo::procfs
