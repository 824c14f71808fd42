#include "sys/capability.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "sys/call.h"

namespace cryo::sys {

Result<uint64_t> effective_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  TRY(checked_void(::syscall(SYS_capget, &header, data.data()),
                   [] { return std::string("capget()"); }));
  return uint64_t{data[1].effective} << 32U | data[0].effective;
}

}  // namespace cryo::sys
