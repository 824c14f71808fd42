#include "kinds/task/seccomp_program.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace cryo {
namespace {

struct Machine {
  uint32_t a = 0, x = 0;
  std::array<uint32_t, BPF_MEMWORDS> memory{};
};

std::optional<uint32_t> load(const Machine& machine, const sock_filter& f,
                             const seccomp_data& call) {
  switch (BPF_MODE(f.code)) {
    case BPF_IMM:
      return f.k;
    case BPF_LEN:
      return sizeof(call);
    case BPF_MEM:
      if (f.k >= machine.memory.size()) return std::nullopt;
      return machine.memory[f.k];
    case BPF_ABS: {
      if (BPF_SIZE(f.code) != BPF_W || f.k % 4 != 0 || f.k > sizeof(call) - 4) return std::nullopt;
      uint32_t word = 0;
      std::memcpy(&word, reinterpret_cast<const std::byte*>(&call) + f.k, 4);
      return word;
    }
    default:
      return std::nullopt;
  }
}

std::optional<uint32_t> compute(uint16_t operation, uint32_t a, uint32_t b) {
  switch (operation) {
    case BPF_ADD:
      return a + b;
    case BPF_SUB:
      return a - b;
    case BPF_MUL:
      return a * b;
    case BPF_DIV:
      return b == 0 ? 0 : a / b;
    case BPF_AND:
      return a & b;
    case BPF_OR:
      return a | b;
    case BPF_XOR:
      return a ^ b;
    case BPF_LSH:
      return b > 31 ? 0 : a << b;
    case BPF_RSH:
      return b > 31 ? 0 : a >> b;
    case BPF_NEG:
      return 0U - a;
    default:
      return std::nullopt;
  }
}

// How many instructions to skip.
std::optional<uint32_t> jump(const Machine& machine, const sock_filter& f) {
  const uint32_t b = BPF_SRC(f.code) == BPF_X ? machine.x : f.k;
  const auto choose = [&](bool taken) { return uint32_t{taken ? f.jt : f.jf}; };
  switch (BPF_OP(f.code)) {
    case BPF_JA:
      return f.k;
    case BPF_JEQ:
      return choose(machine.a == b);
    case BPF_JGT:
      return choose(machine.a > b);
    case BPF_JGE:
      return choose(machine.a >= b);
    case BPF_JSET:
      return choose((machine.a & b) != 0);
    default:
      return std::nullopt;
  }
}

// Everything but jumps and the end.
bool step(Machine& machine, const sock_filter& f, const seccomp_data& call) {
  std::optional<uint32_t> value;
  switch (BPF_CLASS(f.code)) {
    case BPF_LD:
      if ((value = load(machine, f, call))) machine.a = *value;
      return value.has_value();
    case BPF_LDX:
      if ((value = load(machine, f, call))) machine.x = *value;
      return value.has_value();
    case BPF_ST:
    case BPF_STX:
      if (f.k >= machine.memory.size()) return false;
      machine.memory[f.k] = BPF_CLASS(f.code) == BPF_ST ? machine.a : machine.x;
      return true;
    case BPF_ALU:
      if ((value = compute(BPF_OP(f.code), machine.a, BPF_SRC(f.code) == BPF_X ? machine.x : f.k)))
        machine.a = *value;
      return value.has_value();
    case BPF_MISC:
      if (BPF_MISCOP(f.code) == BPF_TAX)
        machine.x = machine.a;
      else
        machine.a = machine.x;
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<uint32_t> run_seccomp_program(std::span<const sock_filter> program,
                                            const seccomp_data& call) {
  Machine machine;
  // Jumps go forward only, so this ends.
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& f = program[at];
    if (BPF_CLASS(f.code) == BPF_RET) return BPF_RVAL(f.code) == BPF_A ? machine.a : f.k;
    if (BPF_CLASS(f.code) == BPF_JMP) {
      const std::optional<uint32_t> skip = jump(machine, f);
      if (!skip) return std::nullopt;
      at += *skip;
    } else if (!step(machine, f, call)) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

bool may_answer(std::span<const sock_filter> program, uint32_t action) {
  return std::ranges::any_of(program, [&](const sock_filter& f) {
    return BPF_CLASS(f.code) == BPF_RET && BPF_RVAL(f.code) == BPF_K &&
           (f.k & SECCOMP_RET_ACTION_FULL) == action;
  });
}

uint32_t stricter_answer(uint32_t a, uint32_t b) {
  const auto order = [](uint32_t answer) {
    return static_cast<int32_t>(answer & SECCOMP_RET_ACTION_FULL);
  };
  return order(a) <= order(b) ? a : b;
}

}  // namespace cryo
