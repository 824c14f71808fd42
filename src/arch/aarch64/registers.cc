// aarch64. On the way to a stop the kernel rewinds an interrupted system call by itself (do_signal() in
// arch/arm64/kernel/signal.c): what ptrace shows is ready to run the call again, and which kind of restart it
// was can no longer be seen. A handler that comes first will therefore find a call that starts again where it
// might have failed with EINTR, and a timed wait starts with its whole time.
#include "arch/registers.h"

#include <elf.h>

namespace cryo::arch {
namespace {

// struct user_pt_regs, then the thread pointer.
enum : size_t { kX0 = 0, kX8 = 8, kSp = 31, kPc = 32, kPstate = 33, kTls = 34, kWords = 35 };
static_assert(kWords <= Registers::kMostWords);

#ifndef NT_ARM_PACA_KEYS
#define NT_ARM_PACA_KEYS 0x407
#define NT_ARM_PACG_KEYS 0x408
#endif
#ifndef NT_ARM_PAC_ENABLED_KEYS
#define NT_ARM_PAC_ENABLED_KEYS 0x40a
#endif

}  // namespace

uint64_t Registers::ip() const { return words_[kPc]; }
uint64_t Registers::sp() const { return words_[kSp]; }
uint64_t Registers::flags() const { return words_[kPstate]; }
int64_t Registers::result() const { return static_cast<int64_t>(words_[kX0]); }
bool Registers::is_compat() const { return (words_[kPstate] & 0x10) != 0; }  // PSR_MODE32_BIT

std::optional<InterruptedCall> Registers::interrupted_call() const { return std::nullopt; }
Registers Registers::for_another_task() const { return *this; }

std::optional<uint64_t> Registers::finished_call() const { return std::nullopt; }
void Registers::interrupt(const InterruptedCall&) {}
bool Registers::is_in_front_of(uint64_t) const { return false; }
void Registers::enter(const InterruptedCall&) {}
void Registers::skip_call(int64_t) {}
uint64_t Registers::argument(size_t i) const { return words_[kX0 + i]; }

void Registers::jump(uint64_t ip, uint64_t argument) {
  words_[kPc] = ip;
  words_[kX0] = argument;
}

void Registers::call(uint64_t ip, uint64_t nr, const std::array<uint64_t, 6>& arguments) {
  jump(ip, arguments[0]);
  words_[kX8] = nr;
  for (size_t i = 1; i < arguments.size(); ++i) words_[kX0 + i] = arguments[i];
}

void Registers::choose_restart() {}
void Registers::set_ip(uint64_t ip) { words_[kPc] = ip; }
void Registers::set_result(int64_t result) { words_[kX0] = static_cast<uint64_t>(result); }

std::span<const RegisterSet> general_sets() {
  static constexpr RegisterSet kSets[] = {{NT_PRSTATUS, 0, kTls * 8}, {NT_ARM_TLS, kTls * 8, 8}};
  return kSets;
}

std::span<const RegisterSet> extended_sets() {
  static constexpr RegisterSet kSets[] = {
      {NT_PRFPREG, 0, 528},  // struct user_fpsimd_state
      {NT_ARM_PACA_KEYS, 528, 64, true},
      {NT_ARM_PACG_KEYS, 592, 16, true},
      {NT_ARM_PAC_ENABLED_KEYS, 608, 8, true},
  };
  return kSets;
}

std::span<const std::byte> syscall_instruction() {
  static constexpr std::byte kSvc[] = {std::byte{0x01}, std::byte{0x00}, std::byte{0x00},
                                       std::byte{0xd4}};
  return kSvc;
}

}  // namespace cryo::arch
