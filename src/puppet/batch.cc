#include "puppet/batch.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>

#include "puppet/syscall_names.h"

namespace cryo {

Batch& Batch::add(long nr, std::initializer_list<Argument> arguments) {
  puppet_call call{};
  call.nr = static_cast<uint16_t>(nr);
  call.at_least = 0;
  call.at_most = INT64_MAX;
  uint8_t data_arguments = 0;
  unsigned i = 0;
  for (const Argument& argument : arguments) {
    call.arg[i] = argument.value();
    if (argument.is_data()) data_arguments = static_cast<uint8_t>(data_arguments | 1U << i);
    ++i;
  }
  calls_.push_back(call);
  data_arguments_.push_back(data_arguments);
  return *this;
}

bool Batch::lengthen(long nr, uint64_t start, uint64_t size, uint64_t most,
                     std::initializer_list<Argument> rest) {
  if (calls_.empty()) return false;
  puppet_call& last = calls_.back();
  if (last.nr != nr || last.arg[0] + last.arg[1] != start || last.arg[1] + size > most)
    return false;
  unsigned i = 2;
  for (const Argument& argument : rest)
    if (argument.is_data() || last.arg[i++] != argument.value()) return false;
  last.arg[1] += size;
  return true;
}

Batch& Batch::expect(int64_t at_least, int64_t at_most) {
  calls_.back().at_least = at_least;
  calls_.back().at_most = at_most;
  return *this;
}

Batch& Batch::flag(unsigned bits) {
  calls_.back().flags = static_cast<uint16_t>(calls_.back().flags | bits);
  return *this;
}

Batch& Batch::fds_at(unsigned argument, unsigned count) {
  calls_.back().fds_arg = static_cast<uint8_t>(argument);
  calls_.back().fds_count = static_cast<uint8_t>(count);
  return flag(PUPPET_FDS_AT_ARG);
}

Batch& Batch::no_reply() {
  calls_.back().result = kUnderWay;
  return any_result().flag(PUPPET_NO_REPLY);
}

void Batch::append(const Batch& other) {
  const uint64_t moved = reserve(0).offset;
  data_.resize(moved);
  data_.insert(data_.end(), other.data_.begin(), other.data_.end());
  for (uint32_t i = 0; i < other.size(); ++i) {
    puppet_call call = other.calls_[i];
    for (unsigned n = 0; n < 6; ++n)
      if ((other.data_arguments_[i] >> n & 1) != 0) call.arg[n] += moved;
    calls_.push_back(call);
    data_arguments_.push_back(other.data_arguments_[i]);
  }
  for (const Pointer& pointer : other.pointers_)
    pointers_.push_back({pointer.at + moved, pointer.target + moved});
}

Batch& Batch::spawn(Data clone_args, uint64_t size, uint32_t slot) {
  call(SYS_clone3, clone_args, size, slot);
  return flag(PUPPET_SPAWN);
}

Data Batch::put(std::span<const std::byte> bytes) {
  const Data at = reserve(bytes.size());
  std::ranges::copy(bytes, data_.begin() + static_cast<ptrdiff_t>(at.offset));
  return at;
}

Data Batch::put_string(std::string_view text) {
  const Data at = reserve(text.size() + 1);
  std::memcpy(data_.data() + at.offset, text.data(), text.size());
  return at;
}

Data Batch::reserve(uint64_t size) {
  const Data at{(data_.size() + 15) & ~uint64_t{15}};
  data_.resize(at.offset + size);
  return at;
}

void Batch::point(Data data, uint64_t offset, Data target) {
  CHECK(data.offset + offset + 8 <= data_.size());
  pointers_.push_back({data.offset + offset, target.offset});
}

uint64_t Batch::bytes() const { return data_start() + ((data_.size() + 15) & ~uint64_t{15}); }

std::string Batch::describe(uint32_t call) const {
  const puppet_call& c = calls_.at(call);
  std::vector<std::string> arguments;
  for (unsigned i = 0; i < 6; ++i) {
    const bool small = c.arg[i] < 4096 || c.arg[i] > UINT64_MAX - 4096;
    if ((data_arguments_[call] >> i & 1) != 0)
      arguments.push_back(fmt::format("&data[{}]", c.arg[i]));
    else if (small)
      arguments.push_back(fmt::format("{}", static_cast<int64_t>(c.arg[i])));
    else
      arguments.push_back(fmt::format("{:#x}", c.arg[i]));
  }
  return fmt::format("{}({})", syscall_name(c.nr), fmt::join(arguments, ", "));
}

void Batch::load(std::span<std::byte> memory, uint64_t at, uint64_t slots_at,
                 uint64_t slot_stride) const {
  CHECK(memory.size() >= bytes());
  const uint64_t data_at = at + data_start();
  std::memcpy(memory.data(), calls_.data(), data_start());
  if (!data_.empty()) std::memcpy(memory.data() + data_start(), data_.data(), data_.size());
  for (uint32_t i = 0; i < size(); ++i) {
    puppet_call* loaded = reinterpret_cast<puppet_call*>(memory.data()) + i;
    for (unsigned n = 0; n < 6; ++n)
      if ((data_arguments_[i] >> n & 1) != 0) loaded->arg[n] += data_at;
    if ((loaded->flags & PUPPET_SPAWN) != 0)
      loaded->arg[2] = slots_at + loaded->arg[2] * slot_stride;
  }
  for (const Pointer& pointer : pointers_) {
    const uint64_t address = data_at + pointer.target;
    std::memcpy(memory.data() + data_start() + pointer.at, &address, sizeof(address));
  }
}

std::span<const std::byte> Outcome::data(Data at, uint64_t size) const {
  CHECK(at.offset <= data_.size() && size <= data_.size() - at.offset);
  return std::span(data_).subspan(at.offset, size);
}

Error unexpected_answer(const Batch& batch, const Outcome& outcome, const char* file, int line) {
  const uint32_t at = outcome.finished();
  const int64_t result = outcome.result(at);
  if (result < 0 && result > -4096)
    return Error::os(static_cast<int>(-result), fmt::format("in the task: {}", batch.describe(at)),
                     file, line);
  return Error::of(ErrorKind::os,
                   fmt::format("in the task: {} answered {:#x}", batch.describe(at), result), file,
                   line);
}

Result<Outcome> SyscallRunner::run_all(const Batch& batch) {
  Outcome outcome = TRY(run(batch));
  if (!outcome.complete()) return unexpected_answer(batch, outcome);
  return outcome;
}

}  // namespace cryo
