#include "arch/vdso_code.h"

#include <sys/syscall.h>

#include <cstring>

namespace cryo::arch {
namespace {

struct Function {
  std::string_view name;  // without __vdso_
  uint32_t number;
};
constexpr Function kFunctions[] = {
    {"clock_gettime", SYS_clock_gettime},
    {"gettimeofday", SYS_gettimeofday},
    {"time", SYS_time},
    {"clock_getres", SYS_clock_getres},
    {"getcpu", SYS_getcpu},
    // Has two arguments more, for state that the system call does without.
    {"getrandom", SYS_getrandom},
};

std::vector<std::byte> code(std::initializer_list<int> bytes) {
  std::vector<std::byte> all;
  for (const int byte : bytes) all.push_back(static_cast<std::byte>(byte));
  return all;
}

}  // namespace

std::vector<std::byte> jump_to(uint64_t target) {
  std::vector<std::byte> all =
      code({0x49, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0xff, 0xe3});  // movabs r11, target; jmp r11
  std::memcpy(all.data() + 2, &target, sizeof(target));
  return all;
}

std::optional<std::vector<std::byte>> vdso_function_as_call(std::string_view name) {
  if (name.starts_with("__vdso_")) name.remove_prefix(7);
  for (const Function& function : kFunctions) {
    if (function.name != name) continue;
    std::vector<std::byte> all =
        code({0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3});  // mov eax, number; syscall; ret
    std::memcpy(all.data() + 1, &function.number, sizeof(function.number));
    return all;
  }
  return std::nullopt;
}

}  // namespace cryo::arch
