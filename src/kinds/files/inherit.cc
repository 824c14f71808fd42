#include "kinds/files/inherit.h"

#include "sys/file.h"

namespace cryo {

Result<std::optional<Fd>> inherited(const Restore& restore, std::string_view key) {
  for (const InheritFd& one : restore.options.inherit_fds) {
    if (one.key != key) continue;
    restore.log.info("{} is our descriptor {}", key, one.fd);
    return std::optional(TRY_IN(sys::dup(FdRef(one.fd)), "taking fd[{}]:{}", one.fd, key));
  }
  return std::optional<Fd>();
}

}  // namespace cryo
