// The vDSO as the ELF image that it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace cryo {

struct VdsoFunction {
  uint64_t offset = 0;  // in the image
  uint64_t room = 0;    // bytes up to the next function, or its own size if that is more
};

// The functions that it offers, by name. Empty when it is no ELF image that we understand: nothing in it is trusted.
std::map<std::string, VdsoFunction> vdso_functions(std::span<const std::byte> image);

// Whether both are the same code. What follows the section headers does not count: debuggers and we ourselves have
// been there.
bool same_vdso(std::span<const std::byte> a, std::span<const std::byte> b);

// `image` with every function leading to the one of `host` that has the same name, `host_at` being where that lies.
// What `host` lacks becomes a system call. Fails when a function is neither, or too short.
Result<std::vector<std::byte>> forward_vdso(std::span<const std::byte> image,
                                            std::span<const std::byte> host, uint64_t host_at);

}  // namespace cryo
