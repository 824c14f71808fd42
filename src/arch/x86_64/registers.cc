#include "arch/registers.h"

#include <elf.h>
#include <sys/user.h>

#include <cstddef>

#include "arch/x86_64/xsave.h"

namespace cryo::arch {
namespace {

#define WORD(field) (offsetof(user_regs_struct, field) / 8)

constexpr int64_t kRestartSys = -512, kRestartNoIntr = -513, kRestartNoHand = -514,
                  kRestartBlock = -516;

}  // namespace

static_assert(sizeof(user_regs_struct) <= Registers::kMostWords * 8);

uint64_t Registers::ip() const { return words_[WORD(rip)]; }
uint64_t Registers::sp() const { return words_[WORD(rsp)]; }
uint64_t Registers::flags() const { return words_[WORD(eflags)]; }
int64_t Registers::result() const { return static_cast<int64_t>(words_[WORD(rax)]); }
bool Registers::is_compat() const { return words_[WORD(cs)] == 0x23; }

std::optional<InterruptedCall> Registers::interrupted_call() const {
  if (static_cast<int64_t>(words_[WORD(orig_rax)]) < 0) return std::nullopt;
  const uint64_t nr = words_[WORD(orig_rax)];
  switch (result()) {
    case kRestartSys:
      return InterruptedCall{nr, Restart::sys};
    case kRestartNoIntr:
      return InterruptedCall{nr, Restart::nointr};
    case kRestartNoHand:
      return InterruptedCall{nr, Restart::nohand};
    case kRestartBlock:
      return InterruptedCall{nr, Restart::restart_block};
    default:
      return std::nullopt;
  }
}

Registers Registers::for_another_task() const {
  Registers other = *this;
  const std::optional<InterruptedCall> call = interrupted_call();
  if (call && call->restart == Restart::restart_block) other.set_result(kRestartNoHand);
  return other;
}

std::optional<uint64_t> Registers::finished_call() const {
  if (static_cast<int64_t>(words_[WORD(orig_rax)]) < 0) return std::nullopt;
  return words_[WORD(orig_rax)];
}

void Registers::interrupt(const InterruptedCall& call) {
  static constexpr int64_t kResults[] = {kRestartSys, kRestartNoIntr, kRestartNoHand,
                                         kRestartBlock};
  words_[WORD(orig_rax)] = call.nr;
  set_result(kResults[static_cast<size_t>(call.restart) & 3]);
}

bool Registers::is_in_front_of(uint64_t nr) const { return words_[WORD(rax)] == nr; }

void Registers::enter(const InterruptedCall& call) {
  words_[WORD(rip)] += syscall_instruction().size();
  interrupt(call);
}

void Registers::skip_call(int64_t result) {
  words_[WORD(rip)] += syscall_instruction().size();
  words_[WORD(orig_rax)] = ~uint64_t{0};
  set_result(result);
}

uint64_t Registers::argument(size_t i) const {
  static constexpr size_t kArguments[] = {WORD(rdi), WORD(rsi), WORD(rdx),
                                          WORD(r10), WORD(r8),  WORD(r9)};
  return words_[kArguments[i]];
}

void Registers::jump(uint64_t ip, uint64_t argument) {
  words_[WORD(rip)] = ip;
  words_[WORD(rdi)] = argument;
  words_[WORD(orig_rax)] = ~uint64_t{0};  // or the kernel would apply a restart to these registers
}

void Registers::call(uint64_t ip, uint64_t nr, const std::array<uint64_t, 6>& a) {
  jump(ip, a[0]);
  words_[WORD(rax)] = nr;
  words_[WORD(rsi)] = a[1];
  words_[WORD(rdx)] = a[2];
  words_[WORD(r10)] = a[3];
  words_[WORD(r8)] = a[4];
  words_[WORD(r9)] = a[5];
}

void Registers::choose_restart() { words_[WORD(eflags)] &= ~uint64_t{1}; }
void Registers::set_ip(uint64_t ip) { words_[WORD(rip)] = ip; }
void Registers::set_result(int64_t result) { words_[WORD(rax)] = static_cast<uint64_t>(result); }

std::span<const RegisterSet> general_sets() {
  static constexpr RegisterSet kSets[] = {{NT_PRSTATUS, 0, sizeof(user_regs_struct)}};
  return kSets;
}

std::span<const RegisterSet> extended_sets() {
  static const RegisterSet kSets[] = {{NT_X86_XSTATE, 0, xsave::host_size()}};
  return kSets;
}

std::span<const std::byte> syscall_instruction() {
  static constexpr std::byte kSyscall[] = {std::byte{0x0f}, std::byte{0x05}};
  return kSyscall;
}

}  // namespace cryo::arch
