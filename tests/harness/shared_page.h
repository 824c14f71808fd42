// One page of a regular file that a test and its victim both map: how they talk, without any
// descriptor in the victim. Futexes on a shared file mapping are keyed by inode and offset, so they
// still connect the two after the victim was killed and restored.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace cryo::live {

enum class Outcome : uint32_t { none, passed, failed, skipped };

struct SharedState {
  std::atomic<uint32_t> reached;    // checkpoints that the victim has come to
  std::atomic<uint32_t> released;   // checkpoints that it may go on from
  std::atomic<pid_t> checkpointer;  // the thread that is in checkpoint()
  std::atomic<Outcome> outcome;
  // Of programs that check themselves: how often each worker went round, and the first complaint.
  std::atomic<uint32_t> workers;
  std::atomic<uint64_t> rounds[32];
  std::atomic<uint32_t> interruptions;  // of calls that the kernel never restarts by itself
  std::atomic<uint32_t> complaints;
  char complaint[512];
};
static_assert(sizeof(SharedState) <= 4096);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

class SharedPage {
 public:
  // The file is made when it does not exist. No descriptor stays open.
  static Result<SharedPage> map(const std::string& path);
  SharedPage(SharedPage&& other) noexcept;
  SharedPage& operator=(SharedPage&&) = delete;
  ~SharedPage();

  SharedState& operator*() const { return *state_; }
  SharedState* operator->() const { return state_; }

 private:
  explicit SharedPage(SharedState* state) : state_(state) {}
  SharedState* state_;
};

// Waits while `word` is `old`, for at most `time`; may also return without reason.
void futex_wait(std::atomic<uint32_t>& word, uint32_t old, std::chrono::milliseconds time);
void futex_wake(std::atomic<uint32_t>& word);

}  // namespace cryo::live
