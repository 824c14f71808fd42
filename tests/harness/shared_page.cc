#include "tests/harness/shared_page.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "base/fd.h"

namespace cryo::live {

Result<SharedPage> SharedPage::map(const std::string& path) {
  const Fd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!file) return Error::os(errno, "open " + path);
  if (ftruncate(file.raw(), 4096) != 0) return Error::os(errno, "ftruncate " + path);
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.raw(), 0);
  if (page == MAP_FAILED) return Error::os(errno, "mmap " + path);
  return SharedPage(static_cast<SharedState*>(page));
}

SharedPage::SharedPage(SharedPage&& other) noexcept
    : state_(std::exchange(other.state_, nullptr)) {}

SharedPage::~SharedPage() {
  if (state_ != nullptr) munmap(state_, 4096);
}

void futex_wait(std::atomic<uint32_t>& word, uint32_t old, std::chrono::milliseconds time) {
  const timespec timeout = {time.count() / 1000, time.count() % 1000 * 1000000};
  syscall(SYS_futex, &word, FUTEX_WAIT, old, &timeout, nullptr, 0);
}

void futex_wake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace cryo::live
