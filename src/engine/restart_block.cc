#include "engine/restart_block.h"

#include <linux/bpf.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include "procfs/text.h"
#include "sys/bpf.h"
#include "sys/btf.h"
#include "sys/file.h"

namespace cryo {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr int kWords = 5;  // of the union in struct restart_block

// Offsets of members, bytes.
struct Layout {
  uint32_t iterator;                   // id of the function bpf_iter_task
  uint32_t restart_block, thread_pid;  // in task_struct
  uint32_t function;                   // in restart_block; the union follows
  uint32_t level, numbers;             // in struct pid
  uint32_t number, number_size;        // in struct upid
  RestartBlockLayout block;
};

class Finder {
 public:
  explicit Finder(const sys::Btf& btf) : btf_(btf) {}
  // The type of the member lands in `type`.
  uint32_t offset(uint32_t& type, std::string_view name) {
    const std::optional<sys::BtfMember> member = btf_.member(type, name);
    if (!member && missing_.empty()) missing_ = name;
    if (member) type = member->type;
    return member ? member->offset : 0;
  }
  uint32_t offset(const uint32_t& type, std::string_view first, std::string_view second) {
    uint32_t inner = type;
    const uint32_t outer = offset(inner, first);
    return outer + offset(inner, second);
  }
  std::string_view missing() const { return missing_; }

 private:
  const sys::Btf& btf_;
  std::string_view missing_;
};

Error not_there(std::string_view name) {
  return Error::os(ENOENT, fmt::format("the kernel's BTF has no {}", name));
}

Result<Layout> find_layout() {
  constexpr auto kStructure = sys::BtfKind::structure;
  constexpr sys::BtfName kNames[] = {{sys::BtfKind::function, "bpf_iter_task"},
                                     {kStructure, "task_struct"},
                                     {kStructure, "restart_block"},
                                     {kStructure, "pid"},
                                     {kStructure, "upid"}};
  const sys::Btf btf = TRY(sys::Btf::of_kernel());
  const std::vector<uint32_t> ids = btf.find(kNames);
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] == 0) return not_there(kNames[i].name);
  const uint32_t task = ids[1], block = ids[2], pid = ids[3], upid = ids[4];
  Finder find(btf);
  uint32_t function = block, restart = task, thread_pid = task, level = pid, numbers = pid,
           number = upid, unused = block;
  Layout out{};
  out.iterator = ids[0];
  out.restart_block = find.offset(restart, "restart_block");
  out.thread_pid = find.offset(thread_pid, "thread_pid");
  out.function = find.offset(function, "fn");
  out.level = find.offset(level, "level");
  out.numbers = find.offset(numbers, "numbers");
  out.number = find.offset(number, "nr");
  out.number_size = btf.size(upid);
  const uint32_t start = out.function + sizeof(uint64_t);
  out.block.futex_time = find.offset(block, "futex", "time") - start;
  out.block.nanosleep_clock = find.offset(block, "nanosleep", "clockid") - start;
  out.block.nanosleep_expires = find.offset(block, "nanosleep", "expires") - start;
  out.block.poll_has_timeout = find.offset(block, "poll", "has_timeout") - start;
  // A struct timespec64 in 6.18, in older kernels two words of the same meaning.
  uint32_t poll = block;
  (void)find.offset(poll, "poll");
  const char* end = btf.member(poll, "end_time") ? "end_time" : "tv_sec";
  out.block.poll_end = find.offset(unused, "poll") + find.offset(poll, end) - start;
  if (!find.missing().empty()) return not_there(find.missing());
  if (btf.size(block) > start + kWords * sizeof(uint64_t)) return not_there("known restart_block");
  return out;
}

// The program's code.
class Assembler {
 public:
  void move(uint8_t to, uint8_t from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
  void set(uint8_t to, int32_t value) { add(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
  void add(uint8_t to, int32_t value) { add(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value); }
  void add_register(uint8_t to, uint8_t from) { add(BPF_ALU64 | BPF_ADD | BPF_X, to, from, 0, 0); }
  void multiply(uint8_t to, int32_t value) { add(BPF_ALU64 | BPF_MUL | BPF_K, to, 0, 0, value); }
  void load(uint8_t to, uint8_t base, int16_t offset) {
    add(BPF_LDX | BPF_MEM | BPF_DW, to, base, offset, 0);
  }
  void load_word(uint8_t to, uint8_t base, int16_t offset) {
    add(BPF_LDX | BPF_MEM | BPF_W, to, base, offset, 0);
  }
  void store(int16_t stack, uint8_t from) {
    add(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, from, stack, 0);
  }
  void store_value(int16_t stack, uint64_t value) {
    add(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, 0, 0, static_cast<int32_t>(value));
    add(0, 0, 0, 0, static_cast<int32_t>(value >> 32));
    store(stack, BPF_REG_1);
  }
  void stack_address(uint8_t to, int32_t offset) {
    move(to, BPF_REG_10);
    add(to, offset);
  }
  void call(bpf_func_id helper) { add(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
  void exit() { add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }
  // Skips what follows, up to land(), when the register is 0.
  size_t skip_if_zero(uint8_t tested) {
    add(BPF_JMP | BPF_JEQ | BPF_K, tested, 0, 0, 0);
    return code_.size();
  }
  void land(size_t skip) { code_[skip - 1].off = static_cast<int16_t>(code_.size() - skip); }
  // Copies `size` bytes from the kernel's address register + offset to the stack.
  void read_kernel(int16_t stack, uint32_t size, uint8_t address, uint32_t offset) {
    move(BPF_REG_3, address);
    add(BPF_REG_3, static_cast<int32_t>(offset));
    stack_address(BPF_REG_1, stack);
    set(BPF_REG_2, static_cast<int32_t>(size));
    call(BPF_FUNC_probe_read_kernel);
  }
  const std::vector<bpf_insn>& code() const { return code_; }

 private:
  void add(int code, uint8_t to, uint8_t from, int16_t offset, int32_t value) {
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

// For each thread one line: number, function, and the words of the union.
std::vector<bpf_insn> make_program(const Layout& layout) {
  constexpr std::array<char, 40> kFormat{"%d %ps %llx %llx %llx %llx %llx\n"};
  static_assert(kFormat.size() % sizeof(uint64_t) == 0 && kWords == 5);
  constexpr int16_t kWord = sizeof(uint64_t);
  constexpr int16_t kText = -int16_t{kFormat.size()};
  constexpr int16_t kValues = kText - (2 + kWords) * kWord;
  constexpr int16_t kNumber = kValues, kFunction = kValues + kWord;
  constexpr uint8_t kOutput = BPF_REG_6, kTask = BPF_REG_7, kPid = BPF_REG_8, kLevel = BPF_REG_9;
  Assembler code;
  // struct bpf_iter__task { struct bpf_iter_meta* meta; struct task_struct* task; }: a user ABI. After the last
  // thread `task` is 0. The first member of struct bpf_iter_meta is the output.
  code.load(kOutput, BPF_REG_1, 0);
  code.load(kTask, BPF_REG_1, sizeof(uint64_t));
  const size_t last = code.skip_if_zero(kTask);
  code.load(kOutput, kOutput, 0);
  // The number in the innermost namespace: thread_pid->numbers[thread_pid->level].nr.
  code.read_kernel(kNumber, sizeof(uint64_t), kTask, layout.thread_pid);
  code.load(kPid, BPF_REG_10, kNumber);
  code.store_value(kNumber, 0);
  code.read_kernel(kNumber, sizeof(uint32_t), kPid, layout.level);
  code.load_word(kLevel, BPF_REG_10, kNumber);
  code.multiply(kLevel, static_cast<int32_t>(layout.number_size));
  code.add_register(kPid, kLevel);
  code.read_kernel(kNumber, sizeof(uint32_t), kPid, layout.numbers + layout.number);
  code.read_kernel(kFunction, (1 + kWords) * sizeof(uint64_t), kTask,
                   layout.restart_block + layout.function);
  for (size_t at = 0; at < kFormat.size(); at += sizeof(uint64_t)) {
    uint64_t part = 0;
    std::memcpy(&part, kFormat.data() + at, sizeof(part));
    code.store_value(static_cast<int16_t>(kText + static_cast<int16_t>(at)), part);
  }
  code.move(BPF_REG_1, kOutput);
  code.stack_address(BPF_REG_2, kText);
  code.set(BPF_REG_3, static_cast<int32_t>(std::strlen(kFormat.data()) + 1));
  code.stack_address(BPF_REG_4, kValues);
  code.set(BPF_REG_5, (2 + kWords) * sizeof(uint64_t));
  code.call(BPF_FUNC_seq_printf);
  code.land(last);
  code.set(BPF_REG_0, 0);
  code.exit();
  return code.code();
}

struct Continuation {
  std::string_view function;
  arch::TimedWait wait;
};
// Compilers append ".constprop.0" and the like.
constexpr Continuation kContinuations[] = {
    {"hrtimer_nanosleep_restart", arch::TimedWait::nanosleep},
    {"posix_cpu_nsleep_restart", arch::TimedWait::nanosleep},
    {"alarm_timer_nsleep_restart", arch::TimedWait::nanosleep},
    {"futex_wait_restart", arch::TimedWait::futex},
    {"do_restart_poll", arch::TimedWait::poll},
};

using Words = std::array<uint64_t, kWords>;

template <class T>
T at(const Words& words, uint32_t offset) {
  T value{};
  if (offset + sizeof(value) > sizeof(words)) return value;
  std::memcpy(&value, reinterpret_cast<const std::byte*>(words.data()) + offset, sizeof(value));
  return value;
}

RestartBlock decode(std::string_view function, const Words& words,
                    const RestartBlockLayout& layout) {
  RestartBlock out;
  for (const Continuation& one : kContinuations)
    if (function.starts_with(one.function)) out.wait = one.wait;
  out.clock = CLOCK_MONOTONIC;
  if (out.wait == arch::TimedWait::nanosleep) {
    out.clock = at<int32_t>(words, layout.nanosleep_clock);
    out.until_ns = at<uint64_t>(words, layout.nanosleep_expires);
  }
  // FUTEX_WAIT alone has a time that it lasts, and it knows no other clock.
  if (out.wait == arch::TimedWait::futex) out.until_ns = at<uint64_t>(words, layout.futex_time);
  if (out.wait == arch::TimedWait::poll && at<int32_t>(words, layout.poll_has_timeout) != 0)
    out.until_ns = at<uint64_t>(words, layout.poll_end) * kSecond +
                   at<uint64_t>(words, layout.poll_end + sizeof(uint64_t));
  return out;
}

}  // namespace

Result<RestartBlocks> parse_restart_blocks(std::string_view text,
                                           const RestartBlockLayout& layout) {
  RestartBlocks out;
  procfs::Scanner lines(text);
  std::string_view line;
  while (lines.line(line)) {
    procfs::Scanner one(line);
    int32_t number = 0;
    std::string_view function;
    Words words{};
    bool good = one.decimal(number) && one.skip(' ') && one.token(function);
    for (uint64_t& word : words) good = good && one.skip(' ') && one.hex(word);
    if (!good) return procfs::malformed("the list of restart blocks", line);
    out.emplace(number, decode(function, words, layout));
  }
  return out;
}

Result<RestartBlocks> read_restart_blocks(Pid pid) {
  const Layout layout = TRY(find_layout());
  const Fd program = TRY(sys::bpf_load_iterator(make_program(layout), layout.iterator));
  const Fd threads = TRY(sys::bpf_iterate_threads(program, pid));
  const std::string text = TRY(sys::read_to_end(threads));
  return parse_restart_blocks(text, layout.block);
}

}  // namespace cryo
