#include "puppet/remote_fd.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#include "sys/process.h"
#include "sys/socket.h"

namespace cryo {
namespace {

struct Ends {
  int32_t ours, theirs;
};

Result<std::optional<Ends>> make_sockets(SyscallRunner& task) {
  Batch batch;
  const Data pair = batch.reserve(sizeof(Ends));
  batch.call(SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair).fds_at(3, 2);
  const Outcome outcome = TRY(task.run(batch));
  if (!outcome.complete()) return std::optional<Ends>();
  return std::optional<Ends>(outcome.get<Ends>(pair));
}

// struct msghdr, struct iovec and the control message as the kernel has them, in one piece.
struct Message {
  uint64_t name, name_size, vectors, vector_count, control, control_size, flags;
  uint64_t vector_base, vector_size;
  uint64_t byte;
  uint64_t length;
  int32_t level, type;
  int32_t fd, padding;
};

// -1 if no descriptor came: the undo list must not hold a number that means something.
Message empty_message() { return {0, 0, 0, 1, 0, 24, 0, 0, 1, 0, 0, 0, 0, -1, 0}; }

}  // namespace

Result<std::optional<RemoteFd>> RemoteFd::send(SyscallRunner& task, Pid pid, FdRef fd) {
  const std::optional<Ends> ends = TRY(make_sockets(task));
  if (!ends) return std::optional<RemoteFd>();
  const auto hand_over = [&]() -> Result<void> {
    const Fd pidfd = TRY(sys::pidfd_open(pid));
    const Fd socket = TRY(sys::pidfd_getfd(pidfd, FdNo{ends->ours}));
    return sys::send_fd(socket, fd);
  };
  const Result<void> sent = hand_over();
  Batch batch;
  Data message{};
  if (sent) {
    message = batch.put(empty_message());
    const auto at = [&](size_t offset) { return Data{message.offset + offset}; };
    batch.point(message, offsetof(Message, vectors), at(offsetof(Message, vector_base)));
    batch.point(message, offsetof(Message, vector_base), at(offsetof(Message, byte)));
    batch.point(message, offsetof(Message, control), at(offsetof(Message, length)));
    // The fourth argument is only for the undo list.
    batch
        .call(SYS_recvmsg, ends->theirs, message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT,
              at(offsetof(Message, fd)))
        .fds_at(3, 1)
        .any_result();
  }
  batch.call(SYS_close, ends->ours).closes_fd();
  batch.call(SYS_close, ends->theirs).closes_fd();
  const Outcome outcome = TRY(task.run_all(batch));
  if (!sent) return std::optional<RemoteFd>();
  const int32_t number = outcome.get<Message>(message).fd;
  if (number < 0) return std::optional<RemoteFd>();
  return std::optional<RemoteFd>(RemoteFd(task, number));
}

Result<void> RemoteFd::close() && {
  Batch batch;
  batch.call(SYS_close, std::exchange(number_, -1)).closes_fd();
  TRY(task_->run_all(batch));
  return {};
}

RemoteFd::~RemoteFd() {
  if (number_ >= 0) (void)std::move(*this).close();
}

}  // namespace cryo
