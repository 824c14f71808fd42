// The registers of one thread, as PTRACE_GETREGSET gives them. One class for every architecture:
// the words are those of NT_PRSTATUS, the meaning is in src/arch/NAME/registers.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace cryo::arch {

// Why a task is on its way out of a system call that it had not finished (kernel: include/linux/errno.h).
enum class Restart : uint8_t {
  sys,            // -ERESTARTSYS: EINTR if a handler without SA_RESTART comes first
  nointr,         // -ERESTARTNOINTR: always restarted
  nohand,         // -ERESTARTNOHAND: EINTR if any handler comes first
  restart_block,  // -ERESTART_RESTARTBLOCK: goes on with the time that is left (restart_syscall)
};

struct InterruptedCall {
  uint64_t nr;
  Restart restart;
};

class Registers {
 public:
  static constexpr size_t kMostWords = 40;

  uint64_t ip() const;
  uint64_t sp() const;
  uint64_t flags() const;  // what user code can see of the processor's flags
  int64_t result() const;  // of a system call that has just returned

  // The call that the stop interrupted, if the kernel would still have to restart or fail it.
  std::optional<InterruptedCall> interrupted_call() const;
  // What another task needs to go on as this one would: the call starts again from its beginning or
  // fails with EINTR if a handler comes first. The kernel decides when the task leaves an
  // EVENT_STOP. Only a restart block is lost: it becomes a plain restart.
  Registers for_another_task() const;

  // The call that has just returned, restarted or not, when the task is stopped on its way out of it.
  std::optional<uint64_t> finished_call() const;
  // Makes them those of a task that a stop interrupted in `call`.
  void interrupt(const InterruptedCall& call);
  // The same, starting from the form of the images: in front of the system call instruction, ready to execute it.
  bool is_in_front_of(uint64_t nr) const;
  void enter(const InterruptedCall& call);
  // The other way out of that form: `nr` has been executed, with this result.
  void skip_call(int64_t result);
  uint64_t argument(size_t i) const;  // of the system call, 0..5

  // Makes the task run `ip` when resumed, with `argument` as the first one and no call to restart.
  void jump(uint64_t ip, uint64_t argument);
  // Makes the task execute the system call instruction at `ip`.
  void call(uint64_t ip, uint64_t nr, const std::array<uint64_t, 6>& arguments);
  // For the thunk's way out: restart the interrupted call (see thunk.h).
  void choose_restart();
  void set_ip(uint64_t ip);
  // The result of the system call that the task is stopped at the end of, or has been interrupted in.
  void set_result(int64_t result);

  bool is_compat() const;  // a 32-bit task

  uint64_t word(size_t i) const { return words_[i]; }
  void set_word(size_t i, uint64_t value) { words_[i] = value; }
  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(words_)); }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(words_)); }

 private:
  std::array<uint64_t, kMostWords> words_{};
};

// All that ptrace can read and set of one thread's processor state.
struct ThreadState {
  Registers general;
  // x86_64: NT_X86_XSTATE, in the layout of this host's CPU. aarch64: FP/SIMD, then pointer
  // authentication keys where the CPU has them.
  std::vector<std::byte> extended;
};

// One register set of ptrace, and where its bytes go in Registers::bytes() or ThreadState::extended.
struct RegisterSet {
  uint32_t note;
  size_t offset, size;    // size: at most
  bool optional = false;  // the CPU or kernel may lack it, and all that follow
};
std::span<const RegisterSet> general_sets();
std::span<const RegisterSet> extended_sets();

// The instruction that enters the kernel, as bytes: to be found in the vDSO.
std::span<const std::byte> syscall_instruction();

}  // namespace cryo::arch
