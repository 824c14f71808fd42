// Injection: puts a puppet into a stopped task and takes it out again, so that the task goes on unharmed
// whenever the coordinator dies (docs/kernel-notes.md tells why each order is what it is).
//
// In:  registers first (to the thunk), then the signal mask. Out: mask first, then registers.
// No code of the task is overwritten, no fd, path or namespace of it is used: the thunk lies in the zero tail
// of the vDSO image, the area comes from one remote mmap and is opened through /proc/PID/map_files.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "arch/thunk.h"
#include "puppet/puppet.h"

namespace cryo {

// A thread at the stop: what has to be given back.
struct FrozenThread {
  Stopped task;
  arch::ThreadState state;
  sys::SigSet mask;
};

struct AddressRange {
  uint64_t start, end;
  bool contains(uint64_t address) const { return address >= start && address < end; }
};

// The highest unmapped place of `size` bytes, away from everything in `mapped` (sorted); 0 if there is none.
uint64_t find_hole(std::span<const AddressRange> mapped, uint64_t size);

// Where in the task's memory an injection goes.
struct InjectionSite {
  uint64_t thunks;       // zero bytes in an executable mapping
  uint64_t thunk_count;  // how many fit
  uint64_t hole;         // unmapped, room for the area
  AddressRange tail;     // all of the vDSO behind its image
  // Finds both. `mapped` is sorted; `vdso` is its image; `mem` is /proc/PID/mem.
  // Errors: unsupported when there is no room.
  static Result<InjectionSite> find(std::span<const AddressRange> mapped, AddressRange vdso,
                                    FdRef mem, uint64_t area_size);
  // The same for a task without a vDSO: `executable` are private mappings of files, and the zero bytes are what
  // fills the last page of one of them. Written to, that page becomes the task's own.
  static Result<InjectionSite> find_in_files(std::span<const AddressRange> mapped,
                                             std::span<const AddressRange> executable, FdRef mem,
                                             uint64_t area_size);
};

class Injection {
 public:
  // `proc` and `mem` (/proc/PID, /proc/PID/mem read-write) must outlive the injection, as must the tracer and `life`.
  // On failure the leader is as it was, and still stopped.
  static Result<Injection> inject(const FrozenThread& leader, const InjectionSite& site, FdRef proc,
                                  FdRef mem, CoordinatorLife& life);
  Injection(Injection&&) noexcept;
  Injection& operator=(Injection&&) = delete;
  // If cure() was not called, the puppets heal their threads themselves, as if we had died. All are stopped again
  // afterwards, but with registers of their own.
  ~Injection();

  static uint64_t area_size();
  Puppet& leader() { return *puppet_; }

  // Runs a batch in each of `threads` (not the leader), several at a time unless `one_at_a_time`, and hands over what
  // each answered. `make` and `take` get the index in `threads`.
  Result<void> run_in_threads(std::span<const FrozenThread* const> threads,
                              const std::function<Batch(size_t)>& make,
                              const std::function<Result<void>(size_t, const Outcome&)>& take,
                              bool one_at_a_time = false);

  // Takes our own bytes out of a copy of the task's memory at `address`.
  void hide(uint64_t address, std::span<std::byte> copy) const;

  // Gives the leader everything back. It is then stopped as before.
  Result<void> cure() &&;

 private:
  struct Peer;
  Injection(const FrozenThread& leader, const InjectionSite& site, FdRef mem,
            CoordinatorLife& life);
  static AreaLayout layout();
  Result<void> write_thunk(size_t index, const arch::Thunk& thunk) const;
  Result<void> map_part(const AddressRange& part, int prot);
  Result<std::vector<AddressRange>> map_parts();
  Result<void> map_area(FdRef proc);
  Result<void> start();
  Result<void> enter(Peer& peer, const FrozenThread& thread, const Batch& batch);
  Result<void> leave(Peer& peer);
  bool left_something() const;
  Result<void> take_out();
  Result<void> abandon();
  Result<void> wait_until_out(const Stopped& thread) const;
  Result<void> clean_vdso() const;

  const FrozenThread* frozen_;
  InjectionSite site_;
  FdRef mem_;
  CoordinatorLife* life_;
  arch::Thunk thunk_;
  std::unique_ptr<Area> area_;
  std::unique_ptr<Puppet> puppet_;
  std::vector<Peer> peers_;
  bool in_ = false;
  bool mapped_ = false;  // the area, in the task
};

}  // namespace cryo
