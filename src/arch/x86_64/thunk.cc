#include "arch/thunk.h"

#include <sys/syscall.h>
#include <sys/user.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <initializer_list>

#include "base/result.h"

namespace cryo::arch {
namespace {

// Just enough of an assembler for what a thunk needs. Only instructions that alter no flags, apart
// from those which set the carry flag on purpose.
class Assembler {
 public:
  void bytes(std::initializer_list<int> list) {
    for (int b : list) code_.push_back(static_cast<std::byte>(b));
  }
  void imm32(uint64_t value) { number(value, 4); }
  void imm64(uint64_t value) { number(value, 8); }
  // mov reg, imm64; reg as the processor numbers them: rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15
  void load(int reg, uint64_t value) {
    bytes({reg >= 8 ? 0x49 : 0x48, 0xb8 + (reg & 7)});
    imm64(value);
  }
  void load32(int reg, uint64_t value) {  // zero-extends
    if (reg >= 8) bytes({0x41});
    bytes({0xb8 + (reg & 7)});
    imm32(value);
  }
  void syscall() { bytes({0x0f, 0x05}); }
  // An instruction whose last four bytes are the distance to data that place() puts at the end.
  void refer(std::initializer_list<int> opcode, size_t* fixup) {
    bytes(opcode);
    *fixup = code_.size();
    imm32(0);
  }
  void place(size_t fixup, uint64_t value) {
    patch(fixup, code_.size() - (fixup + 4));
    imm64(value);
  }
  void patch(size_t at, uint64_t value) {
    for (size_t i = 0; i < 4; ++i) code_[at + i] = static_cast<std::byte>(value >> (8 * i));
  }
  size_t here() const { return code_.size(); }
  std::vector<std::byte> take() { return std::move(code_); }

 private:
  void number(uint64_t value, size_t size) {
    for (size_t i = 0; i < size; ++i) code_.push_back(static_cast<std::byte>(value >> (8 * i)));
  }
  std::vector<std::byte> code_;
};

enum { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 };

#define WORD(field) (offsetof(user_regs_struct, field) / 8)
constexpr size_t kWordOf[16] = {WORD(rax), WORD(rcx), WORD(rdx), WORD(rbx), WORD(rsp), WORD(rbp),
                                WORD(rsi), WORD(rdi), WORD(r8),  WORD(r9),  WORD(r10), WORD(r11),
                                WORD(r12), WORD(r13), WORD(r14), WORD(r15)};

struct WayOut {
  uint64_t rax, ip;
};

// Restarting by hand: the kernel's own restart needs the registers of the interrupted call, and those
// are gone once somebody else's code has run.
WayOut restarting(const Registers& r) {
  const std::optional<InterruptedCall> call = r.interrupted_call();
  if (!call) return {static_cast<uint64_t>(r.result()), r.ip()};
  const uint64_t nr =
      call->restart == Restart::restart_block ? uint64_t{SYS_restart_syscall} : call->nr;
  return {nr, r.ip() - 2};
}

WayOut interrupted(const Registers& r) {
  if (!r.interrupted_call()) return restarting(r);
  return {static_cast<uint64_t>(-EINTR), r.ip()};
}

}  // namespace

size_t thunk_size() { return 288; }

bool is_thunk(std::span<const std::byte> code) {
  constexpr std::byte kStart[] = {std::byte{0x0f}, std::byte{0x05}, std::byte{0xf8}};
  return code.size() >= thunk_size() &&
         std::equal(std::begin(kStart), std::end(kStart), code.begin());
}

Thunk build_thunk(const ThunkSpec& spec) {
  Assembler a;
  const Registers& r = spec.registers;
  size_t mask = 0, normal_ip = 0, eintr_ip = 0, to_eintr = 0;
  Thunk thunk;
  a.syscall();      // the remote call of the injection
  a.bytes({0xf8});  // clc: restart
  thunk.leave = a.here();
  // Before the puppet's stack is unmapped: a handler that runs as soon as the mask opens needs the task's own.
  a.load(rsp, r.word(kWordOf[rsp]));
  if (spec.peer_word == 0) {
    a.load32(rax, SYS_munmap);
    a.load(rdi, spec.area);
    a.load32(rsi, spec.area_size);
    thunk.unmap_call = a.here();
    a.syscall();
  } else {
    a.load(rax, spec.peer_word);
    a.bytes({0xc7, 0x00});  // mov dword [rax], 0
    a.imm32(0);
  }
  a.load32(rax, SYS_rt_sigprocmask);
  a.load32(rdi, SIG_SETMASK);
  a.refer({0x48, 0x8d, 0x35}, &mask);  // lea rsi, [rip + mask]
  a.load32(rdx, 0);
  a.load32(r10, 8);
  a.syscall();
  for (int reg = rcx; reg <= r15; ++reg)
    if (reg != rsp) a.load(reg, r.word(kWordOf[reg]));
  a.bytes({0x72});  // jc
  to_eintr = a.here();
  a.bytes({0});
  const int carry = (r.flags() & 1) != 0 ? 0xf9 : 0xf8;  // stc, clc: as it was
  a.load(rax, restarting(r).rax);
  a.bytes({carry});
  a.refer({0xff, 0x25}, &normal_ip);  // jmp [rip + normal_ip]
  const size_t eintr = a.here();
  a.load(rax, interrupted(r).rax);
  a.bytes({carry});
  a.refer({0xff, 0x25}, &eintr_ip);
  a.place(mask, spec.mask);
  a.place(normal_ip, restarting(r).ip);
  a.place(eintr_ip, interrupted(r).ip);
  thunk.code = a.take();
  thunk.code[to_eintr] = static_cast<std::byte>(eintr - (to_eintr + 1));
  CHECK(thunk.code.size() <= thunk_size());
  return thunk;
}

}  // namespace cryo::arch
