#include "plan/restore.h"

#include <algorithm>

#include "fdinfo.pb.h"

namespace cryo {
namespace {

constexpr uint32_t kMostFds = 1U << 30U;  // the kernel's own bound of fs.nr_open

}  // namespace

StagedFiles::StagedFiles(int first, std::span<const std::span<const pb::fdinfo_entry>> tables)
    : next_(first) {
  for (const std::span<const pb::fdinfo_entry> fds : tables)
    for (const pb::fdinfo_entry& fd : fds) {
      used_.push_back(fd.fd());
      // Of several tasks, each may have something else there.
      if (fd.fd() < static_cast<uint32_t>(first) || fd.fd() >= kMostFds || tables.size() > 1)
        continue;
      places_.try_emplace(FileId{fd.id()}, Place{static_cast<int>(fd.fd()), (fd.flags() & 1) != 0});
    }
  std::ranges::sort(used_);
}

int StagedFiles::unused_number() {
  for (; below_next_ < used_.size() && used_[below_next_] <= static_cast<uint32_t>(next_);
       ++below_next_)
    if (used_[below_next_] == static_cast<uint32_t>(next_)) ++next_;
  return next_++;
}

int StagedFiles::file(FileId id, std::optional<int> open_flags) {
  const auto [at, fresh] = numbers_.try_emplace({id, open_flags.value_or(-1)}, 0);
  if (!fresh) return at->second;
  const auto place = open_flags ? places_.end() : places_.find(id);
  const bool in_place = place != places_.end();
  at->second = in_place ? place->second.number : unused_number();
  wanted_.push_back({at->second,
                     fmt::format("file {}", id),
                     id,
                     open_flags,
                     {},
                     in_place && place->second.cloexec});
  return at->second;
}

int StagedFiles::add(std::string what, std::function<Result<Fd>()> make) {
  const int number = unused_number();
  wanted_.push_back({number, std::move(what), std::nullopt, std::nullopt, std::move(make)});
  return number;
}

uint64_t StagedFiles::end() const {
  uint64_t end = used_.empty() ? 0 : uint64_t{used_.back()} + 1;
  for (const Wanted& wanted : wanted_)
    end = std::max(end, static_cast<uint64_t>(wanted.number) + 1);
  return end;
}

}  // namespace cryo
