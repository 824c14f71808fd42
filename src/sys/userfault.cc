#include "sys/userfault.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "sys/call.h"

namespace cryo::sys {

Result<void> userfault_start(FdRef fd) {
  uffdio_api api{};
  api.api = UFFD_API;
  return checked_void(::ioctl(fd.raw(), UFFDIO_API, &api),
                      [&] { return fmt::format("ioctl({}, UFFDIO_API)", fd.raw()); });
}

Result<void> userfault_register(FdRef fd, uint64_t start, uint64_t size) {
  uffdio_register range{};
  range.range.start = start;
  range.range.len = size;
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  return checked_void(::ioctl(fd.raw(), UFFDIO_REGISTER, &range), [&] {
    return fmt::format("ioctl({}, UFFDIO_REGISTER, {:#x}, {:#x})", fd.raw(), start, size);
  });
}

Result<void> userfault_copy(FdRef fd, uint64_t to, const void* from, uint64_t size) {
  uffdio_copy copy{};
  copy.dst = to;
  copy.src = reinterpret_cast<uint64_t>(from);
  copy.len = size;
  return checked_void(::ioctl(fd.raw(), UFFDIO_COPY, &copy), [&] {
    return fmt::format("ioctl({}, UFFDIO_COPY, {:#x}, {:#x})", fd.raw(), to, size);
  });
}

}  // namespace cryo::sys
