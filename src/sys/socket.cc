#include "sys/socket.h"

#include <sys/socket.h>

#include <cstring>

#include "sys/call.h"

namespace cryo::sys {

Result<void> send_fd(FdRef socket, FdRef fd) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = fd.raw();
  std::memcpy(CMSG_DATA(rights), &number, sizeof(number));
  return checked_void(::sendmsg(socket.raw(), &message, MSG_NOSIGNAL), [&] {
    return fmt::format("sendmsg({}, SCM_RIGHTS {})", socket.raw(), number);
  });
}

}  // namespace cryo::sys
