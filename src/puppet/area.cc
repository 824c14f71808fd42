#include "puppet/area.h"

#include <linux/futex.h>

#include <atomic>
#include <climits>
#include <cstring>
#include <memory>

#include "sys/futex.h"
#include "sys/process.h"

extern "C" const std::byte cryo_puppet_blob[];
extern "C" const std::byte cryo_puppet_blob_end[];

namespace cryo {

Area::Area(sys::Mapping local, uint64_t remote, const AreaLayout& layout)
    : local_(std::move(local)), remote_(remote), layout_(layout) {
  const auto blob_size = static_cast<size_t>(cryo_puppet_blob_end - cryo_puppet_blob);
  CHECK(blob_size <= layout_.code_size());
  CHECK(sizeof(puppet_slot) + 2048 <= layout_.slot_stride);
  std::memset(&header(), 0, sizeof(puppet_area));
  std::memcpy(at<std::byte>(0), cryo_puppet_blob, blob_size);
}

uint64_t Area::entry() const { return remote_; }

uint64_t Area::remote_of(const void* local) const {
  return remote_ + static_cast<uint64_t>(static_cast<const std::byte*>(local) - at<std::byte>(0));
}

std::span<std::byte> Area::arena() const {
  return {at<std::byte>(layout_.arena_offset()), layout_.size() - layout_.arena_offset()};
}

void Area::prepare_slot(uint32_t i, uint32_t on_death) {
  puppet_slot& s = slot(i);
  std::memset(&s, 0, sizeof(s));
  s.area = remote_of(&header());
  s.on_death = on_death;
  s.stack = slot_address(i) + layout_.slot_stride;
}

// struct robust_list_head of the kernel (linux/futex.h), and the nodes that lie in the areas.
struct CoordinatorLife::Head {
  uint64_t first;
  int64_t futex_offset;
  uint64_t pending;
};

Result<CoordinatorLife> CoordinatorLife::begin() {
  const sys::RobustList old = TRY(sys::get_robust_list(Tid{0}));
  std::unique_ptr<Head> head = std::make_unique<Head>();
  head->first = reinterpret_cast<uint64_t>(head.get());
  head->futex_offset = offsetof(puppet_area, coordinator);
  head->pending = 0;
  TRY(sys::set_robust_list(head.get(), sizeof(Head)));
  return CoordinatorLife(head.release(), old.head, old.length);
}

CoordinatorLife::CoordinatorLife(CoordinatorLife&& other) noexcept
    : head_(std::exchange(other.head_, nullptr)),
      old_head_(other.old_head_),
      old_length_(other.old_length_) {}

CoordinatorLife::~CoordinatorLife() {
  if (head_ == nullptr) return;
  (void)sys::set_robust_list(reinterpret_cast<void*>(old_head_), old_length_);
  delete head_;
}

void CoordinatorLife::add(const Area& area) {
  // FUTEX_WAITERS, or the kernel would wake nobody.
  area.header().coordinator = static_cast<uint32_t>(sys::gettid().value) | FUTEX_WAITERS;
  area.header().robust_node = head_->first;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  head_->first = reinterpret_cast<uint64_t>(&area.header().robust_node);
}

void CoordinatorLife::declare_dead(const Area& area) {
  remove(area);
  std::atomic_ref(area.header().coordinator).store(FUTEX_OWNER_DIED);
  (void)sys::futex_wake(&area.header().coordinator, INT_MAX);
}

void CoordinatorLife::remove(const Area& area) {
  const uint64_t node = reinterpret_cast<uint64_t>(&area.header().robust_node);
  for (uint64_t* link = &head_->first; *link != reinterpret_cast<uint64_t>(head_);
       link = reinterpret_cast<uint64_t*>(*link)) {
    if (*link != node) continue;
    *link = area.header().robust_node;
    return;
  }
}

}  // namespace cryo
