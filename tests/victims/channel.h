// Numbers from one thread to another through a futex: like a pipe, but without descriptors.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "tests/victims/self_checking.h"

namespace cryo::victim {

class Channel {
 public:
  void send() {
    sent_++;
    call(FUTEX_WAKE_PRIVATE, 1);
  }
  // Waits, with a call that the kernel has to restart after every interruption, for a number that
  // was not received yet.
  uint64_t receive_next() {
    while (sent_ == received_) {
      const long answer = call(FUTEX_WAIT_PRIVATE, received_);
      expect(answer == 0 || errno == EAGAIN, "a wait was not restarted");
    }
    return ++received_;
  }

 private:
  long call(int what, uint32_t value) {
    return syscall(SYS_futex, &sent_, what, value, nullptr, nullptr, 0);
  }
  std::atomic<uint32_t> sent_{0};
  uint32_t received_ = 0;
};

}  // namespace cryo::victim
