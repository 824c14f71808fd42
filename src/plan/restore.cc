#include "plan/restore.h"

namespace cryo {

int StagedFiles::file(FileId id, std::optional<int> open_flags) {
  const auto [at, fresh] = numbers_.try_emplace({id, open_flags.value_or(-1)}, next_);
  if (fresh) wanted_.push_back({next_++, fmt::format("file {}", id), id, open_flags, {}});
  return at->second;
}

int StagedFiles::add(std::string what, std::function<Result<Fd>()> make) {
  wanted_.push_back({next_, std::move(what), std::nullopt, std::nullopt, std::move(make)});
  return next_++;
}

}  // namespace cryo
