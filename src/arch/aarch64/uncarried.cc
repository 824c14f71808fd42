// aarch64. The scalable vectors (SVE, 4.15; SME, 5.19): only their lowest 128 bits are in the images.
#include "arch/uncarried.h"

#include <elf.h>

#include <cstring>

namespace cryo::arch {
namespace {

#ifndef NT_ARM_SSVE
#define NT_ARM_SSVE 0x40b
#define NT_ARM_ZA 0x40c
#endif

// struct user_sve_header and user_za_header of the user ABI.
struct Header {
  uint32_t size, largest_size;
  uint16_t length, largest_length, flags, reserved;
};
static_assert(sizeof(Header) == 16);
constexpr uint16_t kScalable = 1;  // SVE_PT_REGS_SVE: more than the lowest 128 bits is alive

Header header_of(std::span<const std::byte> set) {
  Header out{};
  if (set.size() >= sizeof(out)) std::memcpy(&out, set.data(), sizeof(out));
  return out;
}

bool has_vectors(std::span<const std::byte> set) { return (header_of(set).flags & kScalable) != 0; }
// Without contents when it is switched off.
bool has_matrix(std::span<const std::byte> set) { return header_of(set).size > sizeof(Header); }

}  // namespace

std::span<const UncarriedState> uncarried_states() {
  static constexpr UncarriedState kStates[] = {
      {NT_ARM_SVE, "scalable vectors (SVE)", has_vectors},
      {NT_ARM_SSVE, "streaming vectors (SME)", has_vectors},
      {NT_ARM_ZA, "the matrix registers (SME)", has_matrix},
  };
  return kStates;
}

}  // namespace cryo::arch
