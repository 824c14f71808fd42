#include "arch/vdso_code.h"

#include <sys/syscall.h>

#include <cstring>

namespace cryo::arch {
namespace {

struct Function {
  std::string_view name;  // without __kernel_
  uint32_t number;
};
constexpr Function kFunctions[] = {
    {"clock_gettime", SYS_clock_gettime}, {"gettimeofday", SYS_gettimeofday},
    {"clock_getres", SYS_clock_getres},   {"getrandom", SYS_getrandom},
    {"rt_sigreturn", SYS_rt_sigreturn},
};

void put(std::vector<std::byte>& all, uint32_t instruction) {
  all.resize(all.size() + sizeof(instruction));
  std::memcpy(all.data() + all.size() - sizeof(instruction), &instruction, sizeof(instruction));
}

}  // namespace

std::vector<std::byte> jump_to(uint64_t target) {
  std::vector<std::byte> all;
  put(all, 0x58000050);  // ldr x16, .+8
  put(all, 0xd61f0200);  // br x16
  put(all, static_cast<uint32_t>(target));
  put(all, static_cast<uint32_t>(target >> 32));
  return all;
}

std::optional<std::vector<std::byte>> vdso_function_as_call(std::string_view name) {
  if (name.starts_with("__kernel_")) name.remove_prefix(9);
  for (const Function& function : kFunctions) {
    if (function.name != name) continue;
    std::vector<std::byte> all;
    put(all, 0xd2800008 | function.number << 5);  // mov x8, number
    put(all, 0xd4000001);                         // svc 0
    put(all, 0xd65f03c0);                         // ret
    return all;
  }
  return std::nullopt;
}

}  // namespace cryo::arch
