#include "puppet/injection.h"

#include <elf.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "arch/address_space.h"
#include "arch/thunk.h"
#include "base/kill_point.h"
#include "sys/file.h"
#include "sys/futex.h"

namespace cryo {
namespace {

// Below a mapping that may grow down, the kernel keeps a gap and refuses others in it.
constexpr uint64_t kDistance = 2 << 20;
constexpr uint64_t kLowest = 0x10000;
constexpr uint32_t kPeers = 4;  // at a time: enough to keep two processors busy
static_assert(kPeers <= PUPPET_MOST_PEERS);
constexpr uint64_t kPeerArena = 16 * 1024;
constexpr uint32_t kSpins =
    4000;  // of the leader; a peer has but one batch and leaves the processor to the next

// The end of the ELF image's section headers: what follows in the last page is padding.
uint64_t image_end(std::span<const std::byte> image) {
  Elf64_Ehdr header{};
  if (image.size() < sizeof(header)) return image.size();
  std::memcpy(&header, image.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return image.size();
  return header.e_shoff + uint64_t{header.e_shnum} * header.e_shentsize;
}

// Zeros, apart from thunks that a killed dump has left behind: nothing leads into them any more.
bool is_free(std::span<const std::byte> tail) {
  while (!tail.empty()) {
    const std::span<const std::byte> part = tail.first(std::min(tail.size(), arch::thunk_size()));
    const bool zero = std::ranges::all_of(part, [](std::byte b) { return b == std::byte{0}; });
    if (!zero && !arch::is_thunk(part)) return false;
    tail = tail.subspan(part.size());
  }
  return true;
}

uint32_t restart_kind(const arch::Registers& registers) {
  const std::optional<arch::InterruptedCall> call = registers.interrupted_call();
  if (!call) return PUPPET_NOT_IN_SYSCALL;
  switch (call->restart) {
    case arch::Restart::sys:
      return PUPPET_RESTART_SYS;
    case arch::Restart::nointr:
      return PUPPET_RESTART_NOINTR;
    case arch::Restart::nohand:
    case arch::Restart::restart_block:
      return PUPPET_RESTART_NOHAND;
  }
  return PUPPET_NOT_IN_SYSCALL;
}

void fill_slot(puppet_slot& slot, const FrozenThread& thread, uint64_t way_out, bool is_peer) {
  slot.is_peer = is_peer ? 1 : 0;
  slot.spins = is_peer ? 0 : kSpins;
  slot.restart = restart_kind(thread.state.general);
  slot.thunk = way_out;
  slot.flags = thread.state.general.flags();
  slot.mask = thread.mask;
}

// A thread in ppoll() and its like still has the mask that it gave to the call, and the kernel would put the other
// one back on its way out. Should we die once it is on another way, a signal that only the call lets through would be
// handled there, and the call would not learn of it.
Result<void> end_temporary_mask(const FrozenThread& thread) {
  if (!thread.state.general.interrupted_call()) return {};
  return thread.task.set_signal_mask(thread.mask);
}

}  // namespace

uint64_t find_hole(std::span<const AddressRange> mapped, uint64_t size) {
  uint64_t top = mapped.empty() ? 0 : mapped.back().start;
  for (size_t i = mapped.size(); i-- > 0;) {
    const uint64_t bottom = i == 0 ? kLowest : mapped[i - 1].end;
    top = mapped[i].start;
    if (top > bottom && top - bottom >= size + 2 * kDistance && top < arch::user_space_end())
      return (top - kDistance - size) & ~(sys::page_size() - 1);
  }
  return 0;
}

Result<InjectionSite> InjectionSite::find(std::span<const AddressRange> mapped, AddressRange vdso,
                                          FdRef mem, uint64_t area_size) {
  std::vector<std::byte> image(vdso.end - vdso.start);
  if (image.empty() || image.size() > 1U << 20)
    return Error::unsupported("the task has no vDSO")
        .hint("it has unmapped it, or was started with vdso=0");
  TRY(sys::pread_all(mem, image.data(), image.size(), vdso.start));
  const uint64_t tail = (image_end(image) + 15) & ~uint64_t{15};
  if (tail >= image.size() || !is_free(std::span(image).subspan(tail)))
    return Error::unsupported("the task's vDSO has no zero bytes behind its image");
  InjectionSite site{};
  site.thunks = vdso.start + tail;
  site.tail = {site.thunks, vdso.end};
  site.thunk_count = (image.size() - tail) / arch::thunk_size();
  if (site.thunk_count == 0)
    return Error::unsupported("the zero bytes behind the task's vDSO are too few");
  site.hole = find_hole(mapped, area_size);
  if (site.hole == 0)
    return Error::unsupported("the task's address space has no room left for the shared area");
  return site;
}

AreaLayout Injection::layout() {
  return {.slots = 1 + kPeers, .slot_stride = 16384, .arena = 512 * 1024};
}

uint64_t Injection::area_size() { return layout().size(); }

struct Injection::Peer {
  uint32_t index;  // 0..kPeers-1: slot index + 1, thunk index + 1
  size_t thread = 0;
  const FrozenThread* frozen = nullptr;  // none: nobody is inside
  uint64_t way_out = 0;                  // in its thunk
  std::unique_ptr<Puppet> puppet;
};

Injection::Injection(const FrozenThread& leader, const InjectionSite& site, FdRef mem,
                     CoordinatorLife& life)
    : frozen_(&leader), site_(site), mem_(mem), life_(&life) {}

Injection::Injection(Injection&& other) noexcept
    : frozen_(other.frozen_),
      site_(other.site_),
      mem_(other.mem_),
      life_(other.life_),
      thunk_(std::move(other.thunk_)),
      area_(std::move(other.area_)),
      puppet_(std::move(other.puppet_)),
      peers_(std::move(other.peers_)),
      in_(std::exchange(other.in_, false)),
      mapped_(other.mapped_) {}

Injection::~Injection() {
  // Whoever is inside may be in the middle of a batch, and only the puppets know what there is to undo.
  if (in_) (void)(puppet_ ? abandon() : take_out());
}

Result<void> Injection::write_thunk(size_t index, const arch::Thunk& thunk) const {
  kill_point();
  // FOLL_FORCE: makes a private copy of the vDSO page.
  TRY(sys::pwrite_all(mem_, thunk.code.data(), thunk.code.size(),
                      site_.thunks + index * arch::thunk_size()));
  kill_point();
  return {};
}

// In the task, at exactly this place.
Result<void> Injection::map_part(const AddressRange& part, int prot) {
  arch::Registers registers = frozen_->state.general;
  registers.call(site_.thunks, SYS_mmap,
                 {part.start, part.end - part.start, static_cast<uint64_t>(prot),
                  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~uint64_t{0}, 0});
  TRY(end_temporary_mask(*frozen_));
  TRY(frozen_->task.set_registers(registers));
  in_ = true;
  // After the registers: had we died before, nothing would have opened them again.
  TRY(frozen_->task.set_signal_mask(sys::kAllSignals));
  const int64_t at = TRY(frozen_->task.execute_call());
  if (at == static_cast<int64_t>(part.start)) {
    mapped_ = true;
    return {};
  }
  return Error::os(at < 0 && at > -4096 ? static_cast<int>(-at) : EFAULT,
                   "in the task: mmap of the shared area")
      .hint("is its address space limited (ulimit -v)?");
}

// In one piece, or code and data apart where memory may not be both (PR_SET_MDWE, SELinux).
Result<std::vector<AddressRange>> Injection::map_parts() {
  const AddressRange all{site_.hole, site_.hole + layout().size()};
  Result<void> whole = map_part(all, PROT_READ | PROT_WRITE | PROT_EXEC);
  if (whole) return std::vector{all};
  if (whole.error().code() != EACCES) return std::move(whole).error();
  const uint64_t border = all.start + layout().code_size();
  TRY(map_part({all.start, border}, PROT_READ | PROT_EXEC));
  TRY(map_part({border, all.end}, PROT_READ | PROT_WRITE));
  return std::vector<AddressRange>{{all.start, border}, {border, all.end}};
}

Result<void> Injection::map_area(FdRef proc) {
  const AreaLayout shape = layout();
  const std::vector<AddressRange> parts = TRY(map_parts());
  sys::Mapping local =
      TRY(sys::Mapping::make(shape.size(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS));
  for (const AddressRange& part : parts) {
    // Shared anonymous memory can be opened through map_files: no descriptor in the task is needed.
    const std::string link = fmt::format("map_files/{:x}-{:x}", part.start, part.end);
    const Fd memory = TRY(sys::openat(proc, link, O_RDWR | O_CLOEXEC));
    sys::Mapping here = TRY(sys::Mapping::make(part.end - part.start, PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_FIXED, memory, 0,
                                               local.bytes() + (part.start - site_.hole)));
    here.release();  // it is a part of `local` now
  }
  area_ = std::make_unique<Area>(std::move(local), site_.hole, shape);
  area_->prepare_slot(0, PUPPET_HEAL);
  fill_slot(area_->slot(0), *frozen_, site_.thunks + thunk_.leave, false);
  life_->add(*area_);
  return {};
}

Result<void> Injection::start() {
  arch::Registers registers = frozen_->state.general;
  registers.jump(area_->entry(), area_->slot_address(0));
  TRY(frozen_->task.set_registers(registers));
  Stopped task = frozen_->task;
  const Running running = TRY(std::move(task).resume());
  puppet_ = std::make_unique<Puppet>(*area_, 0, running, kPeers * kPeerArena,
                                     area_->arena().size() - kPeers * kPeerArena);
  return {};
}

Result<Injection> Injection::inject(const FrozenThread& leader, const InjectionSite& site,
                                    FdRef proc, FdRef mem, CoordinatorLife& life) {
  Injection injection(leader, site, mem, life);
  const uint64_t size = layout().size();
  injection.thunk_ = arch::build_thunk({.registers = leader.state.general,
                                        .extended = leader.state.extended,
                                        .mask = leader.mask,
                                        .address = site.thunks,
                                        .area = site.hole,
                                        .area_size = size});
  TRY(injection.write_thunk(0, injection.thunk_));
  TRY(injection.map_area(proc));
  TRY(injection.start());
  return injection;
}

Result<void> Injection::enter(Peer& peer, const FrozenThread& thread, const Batch& batch) {
  const uint32_t slot = peer.index + 1;
  const std::atomic_ref where(area_->header().peers[peer.index]);
  const uint64_t address = site_.thunks + slot * arch::thunk_size();
  const arch::Thunk thunk =
      arch::build_thunk({.registers = thread.state.general,
                         .extended = thread.state.extended,
                         .mask = thread.mask,
                         .address = address,
                         .peer_word = area_->remote_of(&area_->header().peers[peer.index])});
  TRY(write_thunk(slot, thunk));
  peer.way_out = address + thunk.leave;
  area_->prepare_slot(slot, PUPPET_HEAL);
  fill_slot(area_->slot(slot), thread, peer.way_out, true);
  peer.puppet =
      std::make_unique<Puppet>(*area_, slot, Running(thread.task.tracer(), thread.task.tid()),
                               peer.index * kPeerArena, kPeerArena);
  peer.puppet->post(batch);
  TRY(end_temporary_mask(thread));
  where.store(PUPPET_PEER_MOVING);
  arch::Registers registers = thread.state.general;
  registers.jump(area_->entry(), area_->slot_address(slot));
  TRY(thread.task.set_registers(registers));
  where.store(PUPPET_PEER_INSIDE);
  peer.frozen = &thread;
  TRY(thread.task.set_signal_mask(sys::kAllSignals));
  Stopped task = thread.task;
  TRY(std::move(task).resume());
  return {};
}

// First to the thunk's way out, on its own stack: should we die when its signals are open again, a handler
// must not find itself on the puppet's small stack.
Result<void> Injection::leave(Peer& peer) {
  const std::atomic_ref where(area_->header().peers[peer.index]);
  const FrozenThread& thread = *peer.frozen;
  const Running running = peer.puppet->task();
  TRY(running.interrupt());
  Running again = running;
  TRY(std::move(again).wait_for_interrupt());
  arch::Registers out = thread.state.general;
  out.jump(peer.way_out, 0);
  out.choose_restart();
  TRY(thread.task.set_registers(out));
  TRY(thread.task.set_signal_mask(thread.mask));
  where.store(PUPPET_PEER_MOVING);
  TRY(thread.task.set_registers(thread.state.general));
  where.store(PUPPET_PEER_OUT);
  peer.frozen = nullptr;
  return {};
}

Result<void> Injection::run_in_threads(
    std::span<const FrozenThread* const> threads, const std::function<Batch(size_t)>& make,
    const std::function<Result<void>(size_t, const Outcome&)>& take, bool one_at_a_time) {
  const size_t most = std::min<size_t>(one_at_a_time ? 1 : kPeers, site_.thunk_count - 1);
  if (most == 0 && !threads.empty())
    return Error::unsupported(
        "the zero bytes behind the task's vDSO have room for one thread only");
  peers_.clear();
  for (size_t i = 0; i < std::min(most, threads.size()); ++i)
    peers_.push_back({static_cast<uint32_t>(i), 0, nullptr, 0, nullptr});
  size_t next = 0, finished = 0;
  // In turns: while the peers of one turn work, the answers of the others are taken. After an error those that
  // are inside stay there, until the destructor calls them out.
  while (finished < threads.size()) {
    for (Peer& peer : peers_) {
      if (peer.frozen != nullptr) {
        const Outcome outcome = TRY(peer.puppet->wait());
        TRY(leave(peer));
        ++finished;
        TRY(take(peer.thread, outcome));
      }
      if (next == threads.size()) continue;
      peer.thread = next;
      TRY(enter(peer, *threads[next], make(next)));
      ++next;
    }
  }
  return {};
}

// The way out: unmap the area through the thunk's own munmap, mask, registers, and clean the vDSO's tail.
Result<void> Injection::take_out() {
  in_ = false;
  if (puppet_) {
    const Running running = puppet_->task();
    TRY(running.interrupt());
    Running again = running;
    TRY(std::move(again).wait_for_interrupt());
  }
  if (mapped_) {
    arch::Registers registers = frozen_->state.general;
    registers.call(site_.thunks + thunk_.unmap_call, SYS_munmap,
                   {site_.hole, layout().size(), 0, 0, 0, 0});
    registers.choose_restart();
    TRY(frozen_->task.set_registers(registers));
    const int64_t unmapped = TRY(frozen_->task.execute_call());
    if (unmapped != 0)
      return Error::os(static_cast<int>(-unmapped), "in the task: munmap of the shared area");
    if (area_) life_->remove(*area_);
  }
  TRY(frozen_->task.set_signal_mask(frozen_->mask));
  TRY(frozen_->task.set_registers(frozen_->state.general));
  return clean_vdso();
}

Result<void> Injection::clean_vdso() const {
  const std::vector<std::byte> zeros(site_.thunk_count * arch::thunk_size());
  kill_point();
  TRY(sys::pwrite_all(mem_, zeros.data(), zeros.size(), site_.thunks));
  kill_point();
  return {};
}

Result<void> Injection::abandon() {
  in_ = false;
  life_->declare_dead(*area_);
  for (const Peer& peer : peers_)
    if (peer.frozen != nullptr) TRY(wait_until_out(peer.frozen->task));
  TRY(wait_until_out(frozen_->task));
  return clean_vdso();
}

Result<void> Injection::wait_until_out(const Stopped& thread) const {
  const AddressRange area{site_.hole, site_.hole + layout().size()};
  for (;;) {
    Running running(thread.tracer(), thread.tid());
    TRY(running.interrupt());
    Stopped stopped = TRY(std::move(running).wait_for_interrupt());
    const arch::Registers registers = TRY(stopped.registers());
    if (!area.contains(registers.ip()) && !site_.tail.contains(registers.ip())) return {};
    TRY(std::move(stopped).resume());
    const uint32_t never = 0;
    const timespec nap{0, 1'000'000};
    TRY(sys::futex_wait(&never, 0, &nap));
  }
}

bool Injection::left_something() const {
  const puppet_slot& slot = area_->slot(0);
  return slot.undo_fd_count != 0 || slot.undo_call_count != 0;
}

void Injection::hide(uint64_t address, std::span<std::byte> copy) const {
  const uint64_t from = std::max(address, site_.thunks);
  const uint64_t to =
      std::min(address + copy.size(), site_.thunks + site_.thunk_count * arch::thunk_size());
  if (from < to) std::memset(copy.data() + (from - address), 0, to - from);
}

Result<void> Injection::cure() && { return left_something() ? abandon() : take_out(); }

}  // namespace cryo
