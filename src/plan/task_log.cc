#include "plan/task_log.h"

#include <fcntl.h>

#include "sys/file.h"

namespace cryo {

Result<Fd> open_task_log(const RestoreOptions& options, FdRef work, Pid task) {
  if (!options.log_pid || options.log_file.empty() || options.log_file == "-") return Fd();
  const std::string name = fmt::format("{}.{}", options.log_file, task);
  return sys::openat(work, name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
}

}  // namespace cryo
