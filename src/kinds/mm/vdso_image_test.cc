#include "kinds/mm/vdso_image.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>

namespace cryo {
namespace {

// An image may be hostile. Reading every one of these tables would take hours.
TEST(VdsoImage, of_thousands_of_symbol_tables_one_is_read) {
  constexpr unsigned kSections = 16'000;
  std::vector<std::byte> image(1 << 20, std::byte{'f'});
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_shoff = sizeof(header);
  header.e_shnum = kSections;
  std::memcpy(image.data(), &header, sizeof(header));
  Elf64_Shdr section{};
  section.sh_type = SHT_DYNSYM;
  section.sh_size = image.size();
  for (unsigned i = 0; i < kSections; ++i)
    std::memcpy(image.data() + sizeof(header) + i * sizeof(section), &section, sizeof(section));
  Elf64_Sym symbol{};
  symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
  symbol.st_shndx = 1;
  for (size_t at = sizeof(header) + kSections * sizeof(section); at + sizeof(symbol) < image.size();
       at += sizeof(symbol)) {
    symbol.st_name = static_cast<uint32_t>(at);
    std::memcpy(image.data() + at, &symbol, sizeof(symbol));
  }
  for (const auto& [name, function] : vdso_functions(image)) EXPECT_LE(name.size(), 64U);
}

}  // namespace
}  // namespace cryo
