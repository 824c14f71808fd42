// Processor state that neither the images nor a restore has a place for: a thread in which it is in use is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cryo::arch {

struct UncarriedState {
  uint32_t note;  // the register set of ptrace that shows it
  const char* what;
  bool (*in_use)(
      std::span<const std::byte> set);  // as much of it as there is, at most kUncarriedHead
};
constexpr size_t kUncarriedHead = 64;

std::span<const UncarriedState> uncarried_states();

}  // namespace cryo::arch
