#include "procfs/vma.h"

#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <array>

#include "procfs/text.h"

namespace cryo::procfs {
namespace {

constexpr std::string_view kDeleted = " (deleted)";
constexpr size_t kFlagCount = static_cast<size_t>(VmFlag::count);
constexpr std::array<std::string_view, kFlagCount> kFlagCodes = {
    "rd", "wr", "ex", "sh", "mr", "mw", "me", "ms", "gd", "pf", "gu", "lo", "io",
    "sr", "rr", "dc", "de", "lf", "ac", "nr", "ht", "sf", "ar", "wf", "dd", "bt",
    "sd", "mm", "hg", "nh", "mg", "um", "uw", "ui", "mt", "ss", "sl", "dp"};
static_assert(!kFlagCodes.back().empty());

// Number of a code plus one, by its two letters; 0 is unknown.
struct FlagIndex {
  std::array<uint8_t, 26 * 26> at{};
  constexpr FlagIndex() {
    for (size_t i = 0; i < kFlagCount; ++i) at[slot(kFlagCodes[i])] = static_cast<uint8_t>(i + 1);
  }
  static constexpr size_t slot(std::string_view code) {
    return static_cast<size_t>(code[0] - 'a') * 26 + static_cast<size_t>(code[1] - 'a');
  }
};
constexpr FlagIndex kFlagIndex;

bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

void parse_flags(std::string_view text, Vma& vma) {
  Scanner in(text);
  std::string_view code;
  for (in.spaces(); in.token(code); in.spaces()) {
    const bool shaped = code.size() == 2 && is_letter(code[0]) && is_letter(code[1]);
    const uint8_t number = shaped ? kFlagIndex.at[FlagIndex::slot(code)] : uint8_t{0};
    if (number != 0) {
      vma.flags.set(static_cast<VmFlag>(number - 1));
    } else {
      if (!vma.unknown_flags.empty()) vma.unknown_flags += ' ';
      vma.unknown_flags += code;
    }
  }
}

// The lines of smaps in the kernel's order; those without a member are of no use here.
struct ValueLine {
  std::string_view key;
  uint64_t VmaUsage::*member;
  uint64_t unit;
};
constexpr uint64_t kKilo = 1024;
constexpr std::array kValueLines = {
    ValueLine{"Size", nullptr, kKilo},
    ValueLine{"KernelPageSize", &VmaUsage::kernel_page_size, kKilo},
    ValueLine{"MMUPageSize", nullptr, kKilo},
    ValueLine{"Rss", &VmaUsage::rss, kKilo},
    ValueLine{"Pss", nullptr, kKilo},
    ValueLine{"Pss_Dirty", nullptr, kKilo},
    ValueLine{"Shared_Clean", nullptr, kKilo},
    ValueLine{"Shared_Dirty", nullptr, kKilo},
    ValueLine{"Private_Clean", nullptr, kKilo},
    ValueLine{"Private_Dirty", nullptr, kKilo},
    ValueLine{"Referenced", nullptr, kKilo},
    ValueLine{"Anonymous", &VmaUsage::anonymous, kKilo},
    ValueLine{"KSM", &VmaUsage::ksm, kKilo},
    ValueLine{"LazyFree", &VmaUsage::lazy_free, kKilo},
    ValueLine{"AnonHugePages", &VmaUsage::anon_huge, kKilo},
    ValueLine{"ShmemPmdMapped", &VmaUsage::shmem_huge, kKilo},
    ValueLine{"FilePmdMapped", &VmaUsage::file_huge, kKilo},
    ValueLine{"Shared_Hugetlb", &VmaUsage::shared_hugetlb, kKilo},
    ValueLine{"Private_Hugetlb", &VmaUsage::private_hugetlb, kKilo},
    ValueLine{"Swap", &VmaUsage::swap, kKilo},
    ValueLine{"SwapPss", nullptr, kKilo},
    ValueLine{"Locked", &VmaUsage::locked, kKilo},
    ValueLine{"THPeligible", nullptr, 1},
    ValueLine{"ProtectionKey", &VmaUsage::protection_key, 1},
};

// Index in kValueLines, searched from `expected` on, wrapping around; kValueLines.size() when
// unknown.
size_t find_line(std::string_view key, size_t expected) {
  for (size_t i = 0; i < kValueLines.size(); ++i) {
    const size_t at = (expected + i) % kValueLines.size();
    if (kValueLines[at].key == key) return at;
  }
  return kValueLines.size();
}

bool parse_permissions(std::string_view text, Vma& vma) {
  if (text.size() != 4) return false;
  constexpr std::string_view kSet = "rwx";
  constexpr std::array kBits = {PROT_READ, PROT_WRITE, PROT_EXEC};
  for (size_t i = 0; i < 3; ++i) {
    if (text[i] == kSet[i]) {
      vma.prot |= kBits[i];
    } else if (text[i] != '-') {
      return false;
    }
  }
  vma.shared = text[3] == 's';
  return text[3] == 's' || text[3] == 'p';
}

void parse_name(std::string_view text, Vma& vma) {
  if (text.ends_with(kDeleted)) {
    vma.deleted = true;
    text.remove_suffix(kDeleted.size());
  }
  if (text.find('\\') == std::string_view::npos) {
    vma.name = text;
  } else {
    vma.name = unescape_octal(text, "\n");
  }
}

// "7fb2c0c57000-7fb2c0c58000 rw-s 00000000 00:01 372                        /dev/zero (deleted)"
Result<Vma> parse_head(std::string_view text) {
  Vma vma;
  Scanner in(text);
  std::string_view permissions;
  uint32_t major = 0;
  uint32_t minor = 0;
  const bool ok = in.hex(vma.start) && in.skip('-') && in.hex(vma.end) && in.skip(' ') &&
                  in.token(permissions) && in.skip(' ') && in.hex(vma.offset) && in.skip(' ') &&
                  in.hex(major) && in.skip(':') && in.hex(minor) && in.skip(' ') &&
                  in.decimal(vma.inode) && parse_permissions(permissions, vma) &&
                  vma.start < vma.end;
  if (!ok) return malformed("maps", text);
  vma.device = makedev(major, minor);
  in.spaces();
  if (!in.at_end()) parse_name(in.rest(), vma);
  return vma;
}

// Values have a capitalised key; addresses are lower-case hexadecimal.
bool is_head(std::string_view line) {
  const char c = line.empty() ? '\0' : line.front();
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

}  // namespace

std::string_view code_of(VmFlag flag) { return kFlagCodes[static_cast<size_t>(flag)]; }

std::string Vma::to_string() const {
  return fmt::format("{:x}-{:x} {}{}{}{} {}", start, end, (prot & PROT_READ) != 0 ? 'r' : '-',
                     (prot & PROT_WRITE) != 0 ? 'w' : '-', (prot & PROT_EXEC) != 0 ? 'x' : '-',
                     shared ? 's' : 'p', name.empty() ? "anonymous" : name);
}

Result<std::vector<Vma>> parse_maps(std::string_view text) {
  std::vector<Vma> vmas;
  vmas.reserve(text.size() / 64);
  Scanner in(text);
  for (std::string_view line; in.line(line);) vmas.push_back(TRY(parse_head(line)));
  return vmas;
}

Result<void> SmapsParser::line(std::string_view text) {
  if (!is_head(text)) return value_line(text);
  vmas_.push_back(TRY(parse_head(text)));
  expected_ = 0;
  return {};
}

Result<void> SmapsParser::value_line(std::string_view text) {
  Scanner in(text);
  if (vmas_.empty()) return malformed("smaps", text);
  // Nearly always the line is the one that comes next, and the key need not be looked for.
  const bool next =
      expected_ < kValueLines.size() && in.skip(kValueLines[expected_].key) && in.skip(':');
  if (!next) {
    in = Scanner(text);
    std::string_view key;
    if (!in.until(':', key)) return malformed("smaps", text);
    if (key == "VmFlags") {
      parse_flags(in.rest(), vmas_.back());
      return {};
    }
    const size_t at = find_line(key, expected_);
    if (at == kValueLines.size()) return {};  // a newer kernel's
    expected_ = at;
  }
  const ValueLine& known = kValueLines[expected_++];
  if (known.member == nullptr) return {};
  uint64_t value = 0;
  in.spaces();
  if (!in.decimal(value) || (known.unit != 1 && in.rest() != " kB"))
    return malformed("smaps", text);
  vmas_.back().usage.*known.member = value * known.unit;
  return {};
}

Result<std::vector<Vma>> parse_smaps(std::string_view text) {
  SmapsParser parser;
  Scanner in(text);
  for (std::string_view line; in.line(line);) TRY(parser.line(line));
  return std::move(parser).take();
}

}  // namespace cryo::procfs
