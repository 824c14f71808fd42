#include "sys/btf.h"

#include <linux/btf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sys/file.h"

namespace cryo::sys {
namespace {

// Data after struct btf_type, by its kind: so many bytes, and so many for each of its parts. Indexed by BTF_KIND_*;
// a kind that is not here cannot be skipped.
struct Extra {
  uint8_t once, each;
};
constexpr Extra kExtra[] = {
    {0, 0},                        // void
    {4, 0},                        // int
    {0, 0},                        // pointer
    {sizeof(btf_array), 0},        // array
    {0, sizeof(btf_member)},       // struct
    {0, sizeof(btf_member)},       // union
    {0, sizeof(btf_enum)},         // enum
    {0, 0},                        // forward declaration
    {0, 0},                        // typedef
    {0, 0},                        // volatile
    {0, 0},                        // const
    {0, 0},                        // restrict
    {0, 0},                        // function
    {0, sizeof(btf_param)},        // prototype
    {sizeof(btf_var), 0},          // variable
    {0, sizeof(btf_var_secinfo)},  // section
    {0, 0},                        // float
    {sizeof(btf_decl_tag), 0},     // tag of a declaration
    {0, 0},                        // tag of a type
    {0, 3 * sizeof(uint32_t)},     // enum of 64 bits
};

template <class T>
T at(std::span<const std::byte> data, size_t offset) {
  T value;
  std::memcpy(&value, data.data() + offset, sizeof(value));
  return value;
}

bool is_struct(const btf_type& type) {
  const unsigned kind = BTF_INFO_KIND(type.info);
  return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION;
}

Error malformed() { return Error::os(EINVAL, "the kernel's BTF is not understood"); }

}  // namespace

Result<Btf> Btf::of_kernel() {
  const Fd fd = TRY(open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC));
  const struct stat status = TRY(fstat(fd));
  Btf btf;
  // 6.16; it saves a copy of some MiB.
  Result<Mapping> mapping =
      Mapping::make(static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd);
  if (mapping) {
    btf.mapping_ = std::move(*mapping);
    btf.data_ = {btf.mapping_.bytes(), btf.mapping_.size()};
  } else {
    btf.read_ = TRY(read_file(FdRef(AT_FDCWD), "/sys/kernel/btf/vmlinux"));
    btf.data_ = std::as_bytes(std::span(btf.read_));
  }
  TRY(btf.index());
  return btf;
}

Error not_in_btf(std::string_view name) {
  return Error::os(ENOENT, fmt::format("the kernel's BTF has no {}", name));
}

Result<const Btf*> KernelBtf::get() {
  if (!btf_) btf_ = TRY(Btf::of_kernel());
  return &*btf_;
}

Result<Btf> Btf::parse(std::span<const std::byte> data) {
  Btf btf;
  btf.data_ = data;
  TRY(btf.index());
  return btf;
}

Result<void> Btf::index() {
  if (data_.size() < sizeof(btf_header)) return malformed();
  const auto header = at<btf_header>(data_, 0);
  if (header.magic != BTF_MAGIC || header.hdr_len > data_.size()) return malformed();
  const std::span<const std::byte> body = data_.subspan(header.hdr_len);
  const auto part = [&](uint64_t offset, uint64_t size) {
    return offset + size <= body.size() ? body.subspan(offset, size) : std::span<const std::byte>();
  };
  types_ = part(header.type_off, header.type_len);
  names_ = part(header.str_off, header.str_len);
  if (types_.empty() || names_.empty() || names_.back() != std::byte{0}) return malformed();
  offsets_.reserve(types_.size() / 24);
  for (size_t offset = 0; offset < types_.size();) {
    if (types_.size() - offset < sizeof(btf_type)) return malformed();
    const auto info = at<btf_type>(types_, offset).info;
    if (BTF_INFO_KIND(info) >= std::size(kExtra)) return malformed();
    const Extra extra = kExtra[BTF_INFO_KIND(info)];
    offsets_.push_back(static_cast<uint32_t>(offset));
    offset += sizeof(btf_type) + extra.once + size_t{extra.each} * BTF_INFO_VLEN(info);
    if (offset > types_.size()) return malformed();
  }
  return {};
}

std::string_view Btf::name_at(uint32_t offset) const {
  if (offset >= names_.size()) return {};
  return reinterpret_cast<const char*>(names_.data()) + offset;
}

std::vector<uint32_t> Btf::find(std::span<const BtfName> names) const {
  std::vector<uint32_t> ids(names.size());
  for (size_t i = 0; i < offsets_.size(); ++i) {
    const auto type = at<btf_type>(types_, offsets_[i]);
    if (!is_struct(type) && BTF_INFO_KIND(type.info) != BTF_KIND_FUNC) continue;
    const BtfKind kind = is_struct(type) ? BtfKind::structure : BtfKind::function;
    const std::string_view name = name_at(type.name_off);
    for (size_t wanted = 0; wanted < names.size(); ++wanted)
      if (ids[wanted] == 0 && names[wanted].kind == kind && names[wanted].name == name)
        ids[wanted] = static_cast<uint32_t>(i + 1);
  }
  return ids;
}

uint32_t Btf::size(uint32_t type) const { return size(type, 0); }

uint32_t Btf::size(uint32_t type, int depth) const {
  constexpr int kDeepest = 16;  // of typedefs of arrays of ...
  if (type == 0 || type > offsets_.size() || depth > kDeepest) return 0;
  const auto found = at<btf_type>(types_, offsets_[type - 1]);
  switch (BTF_INFO_KIND(found.info)) {
    case BTF_KIND_INT:
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
    case BTF_KIND_FLOAT:
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
      return found.size;
    case BTF_KIND_PTR:
      return sizeof(uint64_t);
    case BTF_KIND_ARRAY: {
      const auto array = at<btf_array>(types_, offsets_[type - 1] + sizeof(btf_type));
      return array.nelems * size(array.type, depth + 1);
    }
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_TYPE_TAG:
      return size(found.type, depth + 1);
    default:
      return 0;
  }
}

std::optional<BtfMember> Btf::member_at(uint32_t type, std::string_view path) const {
  BtfMember out{0, type};
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    const std::optional<BtfMember> next = member(out.type, name);
    if (!next) return std::nullopt;
    out = {out.offset + next->offset, next->type};
  }
  return out;
}

uint32_t Btf::behind_names(uint32_t type) const {
  constexpr int kDeepest = 16;
  for (int depth = 0; depth < kDeepest && type != 0 && type <= offsets_.size(); ++depth) {
    const auto found = at<btf_type>(types_, offsets_[type - 1]);
    const unsigned kind = BTF_INFO_KIND(found.info);
    if (kind != BTF_KIND_TYPEDEF && kind != BTF_KIND_CONST && kind != BTF_KIND_VOLATILE) break;
    type = found.type;
  }
  return type;
}

std::optional<BtfMember> Btf::member(uint32_t type, std::string_view name) const {
  type = behind_names(type);
  if (type == 0 || type > offsets_.size()) return std::nullopt;
  const size_t start = offsets_[type - 1];
  const auto found = at<btf_type>(types_, start);
  if (!is_struct(found)) return std::nullopt;
  for (size_t i = 0; i < BTF_INFO_VLEN(found.info); ++i) {
    const auto one = at<btf_member>(types_, start + sizeof(btf_type) + i * sizeof(btf_member));
    const uint32_t bits =
        BTF_INFO_KFLAG(found.info) ? BTF_MEMBER_BIT_OFFSET(one.offset) : one.offset;
    if (one.name_off != 0) {
      if (name_at(one.name_off) == name) return BtfMember{bits / 8, one.type};
      continue;
    }
    // An inner type comes with a smaller or a greater id, but a struct cannot be part of itself.
    if (const std::optional<BtfMember> inner = member(one.type, name))
      return BtfMember{bits / 8 + inner->offset, inner->type};
  }
  return std::nullopt;
}

}  // namespace cryo::sys
