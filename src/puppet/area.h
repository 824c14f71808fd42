// Area: the memory that the coordinator shares with the puppets of one task (layout: puppet/abi.h).
//
//   page 0      the loop itself: all that is executed
//   page 1      header (robust word)
//   slots       one per puppet: control words, then its stack
//   arena       batches: calls and their data
//
// The coordinator sees it at one address and the task at another; everything in it that is an address is the
// task's. CoordinatorLife puts the header's word on the calling thread's robust list, so that the kernel tells
// the puppets when the coordinator is dead.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "puppet/abi.h"
#include "sys/memory.h"

namespace cryo {

struct AreaLayout {
  uint32_t slots = 1;
  uint64_t slot_stride = 16384;  // struct puppet_slot and a stack; signal handlers never run on it
  uint64_t arena = 512 * 1024;

  uint64_t code_size() const { return sys::page_size(); }
  uint64_t slots_offset() const { return code_size() + 4096; }
  uint64_t arena_offset() const { return slots_offset() + slots * slot_stride; }
  uint64_t size() const {
    return (arena_offset() + arena + sys::page_size() - 1) & ~(sys::page_size() - 1);
  }
};

class Area {
 public:
  // `local` is our mapping of the memory that the task has at `remote`. Writes header and loop.
  Area(sys::Mapping local, uint64_t remote, const AreaLayout& layout);

  puppet_area& header() const { return *at<puppet_area>(layout_.code_size()); }
  puppet_slot& slot(uint32_t i) const {
    return *at<puppet_slot>(layout_.slots_offset() + i * layout_.slot_stride);
  }
  uint64_t slot_address(uint32_t i) const {
    return remote_ + layout_.slots_offset() + i * layout_.slot_stride;
  }
  uint64_t entry() const;  // of the loop, in the task
  uint64_t remote() const { return remote_; }
  uint64_t remote_of(const void* local) const;
  uint64_t size() const { return layout_.size(); }
  const AreaLayout& layout() const { return layout_; }
  std::span<std::byte> arena() const;
  uint64_t arena_address() const { return remote_ + layout_.arena_offset(); }

  // Makes slot `i` ready for a puppet that has not started yet.
  void prepare_slot(uint32_t i, uint32_t on_death);

 private:
  template <class T>
  T* at(uint64_t offset) const {
    return local_.as<T>(offset);
  }
  sys::Mapping local_;
  uint64_t remote_;
  AreaLayout layout_;
};

// While it lives, the areas added to it learn of the death of the calling thread.
class CoordinatorLife {
 public:
  static Result<CoordinatorLife> begin();
  CoordinatorLife(CoordinatorLife&&) noexcept;
  CoordinatorLife& operator=(CoordinatorLife&&) = delete;
  ~CoordinatorLife();

  void add(const Area& area);
  void remove(const Area& area);
  // As if the calling thread had died: every puppet in the area gives its task back, or ends it.
  void declare_dead(const Area& area);

 private:
  struct Head;
  CoordinatorLife(Head* head, uint64_t old_head, uint64_t old_length)
      : head_(head), old_head_(old_head), old_length_(old_length) {}
  Head* head_;
  uint64_t old_head_, old_length_;
};

}  // namespace cryo
