#include "kinds/mm/vdso_image.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "arch/vdso_code.h"

namespace cryo {
namespace {

template <class T>
std::optional<T> read_at(std::span<const std::byte> image, uint64_t at) {
  if (at > image.size() || image.size() - at < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, image.data() + at, sizeof(T));
  return value;
}

std::optional<Elf64_Ehdr> header_of(std::span<const std::byte> image) {
  const std::optional<Elf64_Ehdr> header = read_at<Elf64_Ehdr>(image, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64)
    return std::nullopt;
  return header;
}

uint64_t end_of(std::span<const std::byte> image) {
  const std::optional<Elf64_Ehdr> header = header_of(image);
  if (!header) return image.size();
  return std::min<uint64_t>(header->e_shoff + uint64_t{header->e_shnum} * header->e_shentsize,
                            image.size());
}

// A name; only its beginning if it is longer than any function's.
std::string name_at(std::span<const std::byte> image, uint64_t at) {
  constexpr size_t kLongest = 64;
  std::string text;
  for (; at < image.size() && image[at] != std::byte{0} && text.size() < kLongest; ++at)
    text += static_cast<char>(image[at]);
  return text;
}

// There is one; an image that claims to have thousands is not worth reading.
std::optional<Elf64_Shdr> dynamic_symbols(std::span<const std::byte> image,
                                          const Elf64_Ehdr& header) {
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    const std::optional<Elf64_Shdr> section =
        read_at<Elf64_Shdr>(image, header.e_shoff + uint64_t{i} * sizeof(Elf64_Shdr));
    if (section && section->sh_type == SHT_DYNSYM) return section;
  }
  return std::nullopt;
}

}  // namespace

std::map<std::string, VdsoFunction> vdso_functions(std::span<const std::byte> image) {
  std::map<std::string, VdsoFunction> functions;
  const std::optional<Elf64_Ehdr> header = header_of(image);
  if (!header) return functions;
  const std::optional<Elf64_Shdr> section = dynamic_symbols(image, *header);
  if (!section) return functions;
  const std::optional<Elf64_Shdr> strings =
      read_at<Elf64_Shdr>(image, header->e_shoff + uint64_t{section->sh_link} * sizeof(Elf64_Shdr));
  if (!strings) return functions;
  std::vector<uint64_t> starts;
  const uint64_t count = std::min<uint64_t>(section->sh_size, image.size()) / sizeof(Elf64_Sym);
  for (uint64_t n = 0; n < count; ++n) {
    const std::optional<Elf64_Sym> symbol =
        read_at<Elf64_Sym>(image, section->sh_offset + n * sizeof(Elf64_Sym));
    if (!symbol || symbol->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol->st_info) != STT_FUNC ||
        symbol->st_value >= image.size())
      continue;
    functions.emplace(name_at(image, strings->sh_offset + symbol->st_name),
                      VdsoFunction{symbol->st_value, symbol->st_size});
    starts.push_back(symbol->st_value);
  }
  std::ranges::sort(starts);
  for (auto& [name, function] : functions) {
    const auto next = std::ranges::upper_bound(starts, function.offset);
    // Functions are aligned: what lies between them is padding.
    if (next != starts.end()) function.room = std::max(function.room, *next - function.offset);
    function.room = std::min(function.room, image.size() - function.offset);
  }
  return functions;
}

bool same_vdso(std::span<const std::byte> a, std::span<const std::byte> b) {
  if (a.size() != b.size() || end_of(a) != end_of(b)) return false;
  return std::memcmp(a.data(), b.data(), end_of(a)) == 0;
}

Result<std::vector<std::byte>> forward_vdso(std::span<const std::byte> image,
                                            std::span<const std::byte> host, uint64_t host_at) {
  const std::map<std::string, VdsoFunction> old = vdso_functions(image);
  const std::map<std::string, VdsoFunction> ours = vdso_functions(host);
  if (old.empty() || ours.empty())
    return Error::unsupported("the vDSO of the image or of this kernel cannot be read");
  std::vector<std::byte> patched(image.begin(), image.end());
  for (const auto& [name, function] : old) {
    const auto found = ours.find(name);
    std::optional<std::vector<std::byte>> code;
    if (found != ours.end())
      code = arch::jump_to(host_at + found->second.offset);
    else
      code = arch::vdso_function_as_call(name);
    if (!code) continue;  // nobody can call what the new kernel has nothing for
    if (code->size() > function.room)
      return Error::unsupported(
          fmt::format("the function {} of the image's vDSO is too short to be forwarded", name));
    std::ranges::copy(*code, patched.begin() + static_cast<ptrdiff_t>(function.offset));
  }
  return patched;
}

}  // namespace cryo
