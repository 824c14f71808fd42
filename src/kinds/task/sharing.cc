// What all threads of a process share unless one has asked for its own (unshare(2), clone(2) with CLONE_THREAD but
// without CLONE_FILES or CLONE_FS): the table of open files, working directory and root, namespaces. The images have one
// of each for the whole process, so a thread that has its own is refused.
#include <linux/kcmp.h>

#include "kinds/all.h"
#include "sys/process.h"

namespace cryo {
namespace {

struct Own {
  const char* what;
  uint64_t ThreadRecord::*member;
  int compare;  // KCMP_*; -1: only the records tell
};
constexpr Own kOwn[] = {
    {"a table of open files", &ThreadRecord::files, KCMP_FILES},
    {"a working directory and root", &ThreadRecord::fs, KCMP_FS},
    {"namespaces", &ThreadRecord::namespaces, -1},
};

Result<bool> is_shared(const ThreadCapture& thread, const Own& own) {
  if (const ThreadRecord* record = thread.record())
    return record->*own.member == thread.task.records.front().*own.member;
  if (own.compare < 0) return true;
  const int order = TRY(sys::kcmp(leader_of(thread.task.pid), thread.tid(), own.compare, 0, 0));
  return order == 0;
}

Result<void> capture_thread(ThreadCapture& thread) {
  if (thread.index == 0) return {};
  for (const Own& own : kOwn) {
    const bool shared = TRY(is_shared(thread, own));
    if (!shared)
      thread.task.block(fmt::format("thread {}", thread.tid()),
                        fmt::format("has {} of its own", own.what),
                        "threads have to share them with their process");
  }
  return {};
}

}  // namespace

const TaskKind sharing_kind = {.name = "sharing between threads", .capture_thread = capture_thread};

}  // namespace cryo
