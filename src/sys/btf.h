// The kernel's description of its own types (BTF; kernel 5.4, CONFIG_DEBUG_INFO_BTF): where the members of its
// structs lie. Documentation/bpf/btf.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/memory.h"

namespace cryo::sys {

enum class BtfKind : uint8_t { structure, function };
struct BtfName {
  BtfKind kind;
  std::string_view name;
};

struct BtfMember {
  uint32_t offset;  // bytes, from the start of the struct that was asked for
  uint32_t type;
};

class Btf {
 public:
  // Of the running kernel. ENOENT: it has none.
  static Result<Btf> of_kernel();
  // `data` must stay; for tests.
  static Result<Btf> parse(std::span<const std::byte> data);

  // 0 for one that is not there. One pass for all of them.
  std::vector<uint32_t> find(std::span<const BtfName> names) const;
  // Of a struct or union, also inside of its members without a name.
  std::optional<BtfMember> member(uint32_t type, std::string_view name) const;
  // The same for a member of a member ...: "pending.signal.sig".
  std::optional<BtfMember> member_at(uint32_t type, std::string_view path) const;
  // Bytes; 0 when it has none (a function, an array without a length).
  uint32_t size(uint32_t type) const;

 private:
  Result<void> index();
  uint32_t size(uint32_t type, int depth) const;
  // The type that a typedef stands for, without const and volatile.
  uint32_t behind_names(uint32_t type) const;
  std::string_view name_at(uint32_t offset) const;

  Mapping mapping_;
  std::string read_;
  std::span<const std::byte> data_;
  std::span<const std::byte> types_, names_;
  std::vector<uint32_t> offsets_;  // in types_, by id - 1
};

Error not_in_btf(std::string_view name);

// The kernel's BTF, read when it is asked for first: about a millisecond.
class KernelBtf {
 public:
  Result<const Btf*> get();

 private:
  std::optional<Btf> btf_;
};

}  // namespace cryo::sys
