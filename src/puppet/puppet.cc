#include "puppet/puppet.h"

#include <atomic>
#include <cstring>

#include "arch/pause.h"
#include "base/kill_point.h"
#include "sys/futex.h"
#include "sys/process.h"
#include "trace/yields.h"

namespace cryo {
namespace {

constexpr int kSpins = 1000;                   // some 15 us
constexpr int kYields = 20;                    // then the puppet may need our processor
constexpr timespec kLookAfter{0, 50'000'000};  // a task that dies or is stopped wakes no futex

std::atomic_ref<uint32_t> atomic(uint32_t& word) { return std::atomic_ref(word); }

}  // namespace

void Puppet::post(const Batch& batch) {
  puppet_slot& slot = area_->slot(slot_);
  CHECK(batch.bytes() <= arena_size_);
  batch.load(area_->arena().subspan(arena_offset_, arena_size_),
             area_->arena_address() + arena_offset_, area_->slot_address(0),
             area_->layout().slot_stride);
  slot.calls = area_->arena_address() + arena_offset_;
  slot.count = batch.size();
  slot.finished = 0;
  calls_ = batch.size();
  data_start_ = batch.data_start();
  data_size_ = batch.data_size();
  kill_point();
  atomic(slot.posted).store(++posted_);
  kill_point();
  if (atomic(slot.asleep).load() != 0) (void)sys::futex_wake(&slot.posted);
  kill_point();
}

Result<void> Puppet::wait_until_done(uint32_t number) {
  puppet_slot& slot = area_->slot(slot_);
  for (int spin = 0; spin < kSpins; ++spin) {
    if (atomic(slot.done).load() == number) return {};
    cpu_pause();
  }
  Yields yields;
  for (int turn = 0; turn < kYields && yields.are_short(); ++turn) {
    yields.yield();
    if (atomic(slot.done).load() == number) return {};
  }
  atomic(slot.waited).store(1);
  for (;;) {
    const uint32_t done = atomic(slot.done).load();
    if (done == number) break;
    const sys::FutexWait woken = TRY(sys::futex_wait(&slot.done, done, &kLookAfter));
    if (woken == sys::FutexWait::timed_out) TRY(task_.look_after());
  }
  atomic(slot.waited).store(0);
  return {};
}

bool Puppet::idle() const { return atomic(area_->slot(slot_).done).load() == posted_; }

bool Puppet::is_under_way() const {
  if (calls_ == 0) return false;
  int64_t result = 0;
  const size_t at = (calls_ - 1) * sizeof(puppet_call) + offsetof(puppet_call, result);
  std::memcpy(&result, area_->arena().data() + arena_offset_ + at, sizeof(result));
  return result == kUnderWay;
}

Result<Outcome> Puppet::wait() {
  TRY(wait_until_done(posted_));
  puppet_slot& slot = area_->slot(slot_);
  const std::span<const std::byte> memory = area_->arena().subspan(arena_offset_, arena_size_);
  const uint32_t finished = std::min(slot.finished, calls_);
  std::vector<int64_t> results(calls_);
  const uint32_t answered = std::min(finished + 1, calls_);
  for (uint32_t i = 0; i < answered; ++i) {
    const size_t at = i * sizeof(puppet_call) + offsetof(puppet_call, result);
    std::memcpy(&results[i], memory.data() + at, sizeof(int64_t));
  }
  const std::span<const std::byte> data = memory.subspan(data_start_, data_size_);
  return Outcome(finished, std::move(results), std::vector<std::byte>(data.begin(), data.end()));
}

Result<Outcome> Puppet::run(const Batch& batch) {
  post(batch);
  return wait();
}

}  // namespace cryo
