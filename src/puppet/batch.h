// A program for a puppet: raw system calls in order, with the results that are expected of them.
//
// Pure data: it can be built, printed and tested without any kernel. Arguments are numbers or pieces of
// the batch's own data (put, reserve), which the runner turns into addresses in the task.
// A batch stops at the first call whose result lies outside its expected range.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "puppet/abi.h"

namespace cryo {

// What a call has for a result while it is under way, if it does not reply.
constexpr int64_t kUnderWay = INT64_MIN;

// A piece of a batch's data.
struct Data {
  uint64_t offset = 0;
};

// An argument: a number, or the address of a piece of data.
class Argument {
 public:
  // Implicit: arguments are written as in a call.
  // NOLINTBEGIN(google-explicit-constructor)
  template <class T>
  requires(std::is_integral_v<T>) Argument(T value)
      : value_(static_cast<uint64_t>(
            static_cast<std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>(value))) {}
  Argument(Data data) : value_(data.offset), is_data_(true) {}
  // NOLINTEND(google-explicit-constructor)
  uint64_t value() const { return value_; }
  bool is_data() const { return is_data_; }

 private:
  uint64_t value_;
  bool is_data_ = false;
};

class Batch {
 public:
  // Adds a call; by default any result but an error is expected.
  template <class... A>
  Batch& call(long nr, A... arguments) {
    static_assert(sizeof...(A) <= 6);
    return add(nr, {Argument(arguments)...});
  }
  // Whether the call added last is this one, of the `size` bytes in front of `start`; then it becomes one of `most`
  // bytes at most, these included. (For calls on memory: address, size, and the `rest`.)
  bool lengthen(long nr, uint64_t start, uint64_t size, uint64_t most,
                std::initializer_list<Argument> rest);
  // These change the call added last.
  Batch& expect(int64_t at_least, int64_t at_most);
  Batch& expect_exactly(int64_t value) { return expect(value, value); }
  Batch& any_result() { return expect(INT64_MIN, INT64_MAX); }
  Batch& result_is_fd() { return flag(PUPPET_RESULT_IS_FD); }
  Batch& closes_fd() { return flag(PUPPET_CLOSES_FD); }
  Batch& fds_at(unsigned argument,
                unsigned count);  // the call writes `count` fds there: undone on death
  Batch& no_reply();
  Batch& compat() { return flag(PUPPET_COMPAT); }
  // clone3 whose child is the puppet of slot `slot`.
  Batch& spawn(Data clone_args, uint64_t size, uint32_t slot);

  // Copies bytes into the batch's data; 16-byte aligned.
  Data put(std::span<const std::byte> bytes);
  Data put_string(std::string_view text);  // with its final zero
  template <class T>
  requires(std::is_trivially_copyable_v<T> && !std::is_convertible_v<T, std::string_view>) Data
      put(const T& value) {
    return put(std::as_bytes(std::span(&value, 1)));
  }
  Data reserve(uint64_t size);  // zeros
  // Makes the 8 bytes at data + offset the address of `target`, once it is known where the batch lies.
  void point(Data data, uint64_t offset, Data target);

  // Adds the calls of another batch, and its data; the Data that it gave out is not of this one.
  void append(const Batch& other);

  uint32_t size() const { return static_cast<uint32_t>(calls_.size()); }
  bool empty() const { return calls_.empty(); }
  uint64_t bytes() const;                     // what it takes in the shared area
  std::string describe(uint32_t call) const;  // "mmap(0x7f.., 4096, 3, 50, -1, 0)"

  // Writes calls and data, `at` being where the first byte will be seen by the puppet.
  // Precondition: memory.size() >= bytes().
  void load(std::span<std::byte> memory, uint64_t at, uint64_t slots_at,
            uint64_t slot_stride) const;
  uint64_t data_start() const { return calls_.size() * sizeof(puppet_call); }
  uint64_t data_size() const { return data_.size(); }

 private:
  struct Pointer {
    uint64_t at, target;
  };
  Batch& add(long nr, std::initializer_list<Argument> arguments);
  Batch& flag(unsigned bits);

  std::vector<puppet_call> calls_;
  std::vector<uint8_t> data_arguments_;  // bit n: argument n is an offset in data_
  std::vector<std::byte> data_;
  std::vector<Pointer> pointers_;
};

// What a batch answered: copied out of the shared area, never trusted.
class Outcome {
 public:
  Outcome(uint32_t finished, std::vector<int64_t> results, std::vector<std::byte> data)
      : finished_(finished), results_(std::move(results)), data_(std::move(data)) {}
  // Calls with an expected result; == batch.size() if all went well.
  uint32_t finished() const { return finished_; }
  bool complete() const { return finished_ == results_.size(); }
  // Precondition: call <= finished() (the surprise has a result too).
  int64_t result(uint32_t call) const { return results_.at(call); }
  std::span<const std::byte> data(Data at, uint64_t size) const;
  template <class T>
  requires(std::is_trivially_copyable_v<T>) T get(Data at)
  const {
    T value;
    std::memcpy(&value, data(at, sizeof(T)).data(), sizeof(T));
    return value;
  }

 private:
  uint32_t finished_;
  std::vector<int64_t> results_;
  std::vector<std::byte> data_;
};

// Runs batches in a stopped or injected task. Two back ends: Puppet (fast) and PtraceRunner (no injected
// code: bring-up of architectures, tasks whose seccomp filters forbid a puppet, the oracle of tests).
class SyscallRunner {
 public:
  virtual ~SyscallRunner() = default;
  // The machinery's failures are errors (ErrorKind::gone: the task died). What the remote kernel answered is
  // in the Outcome.
  virtual Result<Outcome> run(const Batch& batch) = 0;
  // As run(), and an unexpected answer is an error that names the call.
  Result<Outcome> run_all(const Batch& batch);
};

// The error for the call that stopped `batch`.
Error unexpected_answer(const Batch& batch, const Outcome& outcome,
                        const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace cryo
