// Writes the code of a BPF program, instruction by instruction (Documentation/bpf/standardization/instruction-set.rst).
// Registers are BPF_REG_*; `stack` offsets count from the end of the stack and are negative.
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace cryo::sys {

class BpfCode {
 public:
  void move(uint8_t to, uint8_t from) { append(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
  void set(uint8_t to, int32_t value) { append(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
  void add(uint8_t to, int32_t value) { append(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value); }
  void add_register(uint8_t to, uint8_t from) {
    append(BPF_ALU64 | BPF_ADD | BPF_X, to, from, 0, 0);
  }
  void multiply(uint8_t to, int32_t value) { append(BPF_ALU64 | BPF_MUL | BPF_K, to, 0, 0, value); }
  void load(uint8_t to, uint8_t base, int16_t offset) {
    append(BPF_LDX | BPF_MEM | BPF_DW, to, base, offset, 0);
  }
  void load_word(uint8_t to, uint8_t base, int16_t offset) {
    append(BPF_LDX | BPF_MEM | BPF_W, to, base, offset, 0);
  }
  void store(int16_t stack, uint8_t from) {
    append(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, from, stack, 0);
  }
  // Uses R1.
  void store_value(int16_t stack, uint64_t value) {
    append(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, 0, 0, static_cast<int32_t>(value));
    append(0, 0, 0, 0, static_cast<int32_t>(value >> 32));
    store(stack, BPF_REG_1);
  }
  void stack_address(uint8_t to, int32_t stack) {
    move(to, BPF_REG_10);
    add(to, stack);
  }
  void call(bpf_func_id helper) { append(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
  void exit() { append(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }
  // Skips what follows, up to land(), when the register is 0.
  size_t skip_if_zero(uint8_t tested) {
    append(BPF_JMP | BPF_JEQ | BPF_K, tested, 0, 0, 0);
    return code_.size();
  }
  void land(size_t skip) { code_[skip - 1].off = static_cast<int16_t>(code_.size() - skip); }
  // Copies bytes of the kernel to the stack. Uses R0 to R5.
  void read_kernel(int16_t stack, uint32_t size, uint8_t address, uint32_t offset) {
    move(BPF_REG_3, address);
    add(BPF_REG_3, static_cast<int32_t>(offset));
    stack_address(BPF_REG_1, stack);
    set(BPF_REG_2, static_cast<int32_t>(size));
    call(BPF_FUNC_probe_read_kernel);
  }
  // A program for an iterator is called with the address of a struct bpf_iter__*, a user ABI: `meta`, whose first member
  // is the output, then pointers to what it is at; behind the last of them the pointer is 0. These load the output
  // and the `index`-th pointer; what is written between them is left out behind the last.
  size_t begin_iteration(uint8_t output, uint8_t pointer, int16_t index) {
    load(output, BPF_REG_1, 0);
    load(pointer, BPF_REG_1, static_cast<int16_t>(index * static_cast<int16_t>(sizeof(uint64_t))));
    const size_t last = skip_if_zero(pointer);
    load(output, output, 0);
    return last;
  }
  void end_iteration(size_t last) {
    land(last);
    set(BPF_REG_0, 0);
    exit();
  }
  // From the stack to the output of an iterator. Uses R0 to R5.
  void write_out(uint8_t output, int16_t stack, size_t size) {
    move(BPF_REG_1, output);
    stack_address(BPF_REG_2, stack);
    set(BPF_REG_3, static_cast<int32_t>(size));
    call(BPF_FUNC_seq_write);
  }
  const std::vector<bpf_insn>& code() const { return code_; }

 private:
  void append(int code, uint8_t to, uint8_t from, int16_t offset, int32_t value) {
    bpf_insn instruction{};
    instruction.code = static_cast<uint8_t>(code);
    instruction.dst_reg = to & 0xf;
    instruction.src_reg = from & 0xf;
    instruction.off = offset;
    instruction.imm = value;
    code_.push_back(instruction);
  }
  std::vector<bpf_insn> code_;
};

}  // namespace cryo::sys
