// Strong types for the numbers that are easily mixed up.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>

namespace cryo {

template <class Tag, class Rep>
struct Id {
  Rep value{};
  constexpr Id() = default;
  constexpr explicit Id(Rep v) : value(v) {}
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

using Pid = Id<struct PidTag, int32_t>;         // thread group id
using Tid = Id<struct TidTag, int32_t>;         // one task of a thread group
using FdNo = Id<struct FdNoTag, int32_t>;       // a number in some task's fd table
using FileId = Id<struct FileIdTag, uint32_t>;  // an open file description in the images

constexpr Tid leader_of(Pid pid) { return Tid{pid.value}; }

}  // namespace cryo

template <class Tag, class Rep>
struct fmt::formatter<cryo::Id<Tag, Rep>> : fmt::formatter<Rep> {
  template <class Context>
  auto format(const cryo::Id<Tag, Rep>& id, Context& context) const {
    return fmt::formatter<Rep>::format(id.value, context);
  }
};
