// aarch64 has no jump that needs no register, so the way out is rt_sigreturn: one call gives back all
// registers, the mask and the place to go on. Its frame lies behind the code. The kernel demands the FP/SIMD
// registers in it; the rest of a scalable vector (SVE) is lost on this path, which only a dead coordinator
// makes the task take.
#include "arch/thunk.h"

#include <asm/sigcontext.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "base/result.h"

namespace cryo::arch {
namespace {

constexpr size_t kFpSimdSize = 528;  // struct user_fpsimd_state: 32 vectors, fpsr, fpcr, padding

// struct rt_sigframe as far as it is in use: siginfo, ucontext, and the records that the context is followed by.
struct Frame {
  std::byte info[128];
  uint64_t flags, link;
  uint64_t stack[3];
  uint64_t mask;
  std::byte unused[120];
  std::byte align[8];
  uint64_t fault_address;
  uint64_t regs[31];
  uint64_t sp, pc, pstate;
  std::byte align_records[8];
  uint32_t fp_magic, fp_size;
  uint32_t fpsr, fpcr;
  std::byte vregs[512];
  uint32_t end_magic, end_size;
};
static_assert(offsetof(Frame, fault_address) == 128 + 176,
              "ucontext: uc_mcontext is 16-byte aligned");
static_assert((offsetof(Frame, fp_magic) - offsetof(Frame, fault_address)) == 288,
              "sigcontext.__reserved");

class Assembler {
 public:
  void word(uint32_t instruction) {
    for (unsigned i = 0; i < 4; ++i)
      code_.push_back(static_cast<std::byte>(instruction >> (8 * i)));
  }
  void load(uint32_t reg, uint64_t value) {  // movz, movk
    word(0xd2800000U | static_cast<uint32_t>(value & 0xffff) << 5 | reg);
    for (uint32_t part = 1; part < 4; ++part)
      word(0xf2800000U | part << 21 | static_cast<uint32_t>(value >> (16 * part) & 0xffff) << 5 |
           reg);
  }
  void svc() { word(0xd4000001U); }
  size_t here() const { return code_.size(); }
  std::vector<std::byte> code_;
};

Frame make_frame(const ThunkSpec& spec) {
  Frame frame{};
  frame.mask = spec.mask;
  for (size_t i = 0; i < 31; ++i) frame.regs[i] = spec.registers.word(i);
  frame.sp = spec.registers.sp();
  frame.pc = spec.registers.ip();
  frame.pstate = spec.registers.flags();
  frame.fp_magic = FPSIMD_MAGIC;
  frame.fp_size = sizeof(struct fpsimd_context);
  if (spec.extended.size() >= kFpSimdSize) {
    std::memcpy(frame.vregs, spec.extended.data(), 512);
    std::memcpy(&frame.fpsr, spec.extended.data() + 512, 4);
    std::memcpy(&frame.fpcr, spec.extended.data() + 516, 4);
  }
  return frame;
}

constexpr size_t kCodeSize = 128;

}  // namespace

size_t thunk_size() { return kCodeSize + ((sizeof(Frame) + 15) & ~size_t{15}); }

bool is_thunk(std::span<const std::byte> code) {
  constexpr std::byte kCall[] = {std::byte{0x01}, std::byte{0x00}, std::byte{0x00},
                                 std::byte{0xd4}};
  return code.size() >= thunk_size() &&
         std::equal(std::begin(kCall), std::end(kCall), code.begin());
}

Thunk build_thunk(const ThunkSpec& spec) {
  Assembler a;
  Thunk thunk;
  a.svc();  // the remote call of the injection
  thunk.leave = a.here();
  if (spec.peer_word == 0) {
    a.load(8, SYS_munmap);
    a.load(0, spec.area);
    a.load(1, spec.area_size);
    thunk.unmap_call = a.here();
    a.svc();
  } else {
    a.load(0, spec.peer_word);
    a.word(0xb900001fU);  // str wzr, [x0]
  }
  a.load(9, spec.address + kCodeSize);
  a.word(0x9100013fU);  // mov sp, x9
  a.load(8, SYS_rt_sigreturn);
  a.svc();
  CHECK(a.here() <= kCodeSize);
  a.code_.resize(kCodeSize);
  const Frame frame = make_frame(spec);
  const std::byte* bytes = reinterpret_cast<const std::byte*>(&frame);
  a.code_.insert(a.code_.end(), bytes, bytes + sizeof(frame));
  thunk.code = std::move(a.code_);
  return thunk;
}

}  // namespace cryo::arch
