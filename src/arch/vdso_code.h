// Machine code that is put into an old vDSO image when the kernel's own is another one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace cryo::arch {

// Goes on at `target`, with all arguments as they are.
std::vector<std::byte> jump_to(uint64_t target);

// The body of the vDSO function `name` as a plain system call; none when there is no such call.
std::optional<std::vector<std::byte>> vdso_function_as_call(std::string_view name);

}  // namespace cryo::arch
