#include "frontend/cli/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace cryo::cli {
namespace {

constexpr int kMostVerbose = 4;

Result<uint64_t> parse_in_base(std::string_view text, int base) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, number, base);
  if (text.empty() || failure != std::errc() || stopped != end)
    return Error::usage(fmt::format("'{}' is not a number", text));
  return number;
}

// "file[1f:2a]" is {"file", "1f:2a", ""}; "mnt[/x]:cookie" is {"mnt", "/x", ":cookie"}.
struct Bracketed {
  std::string_view name;
  std::string_view inside;
  std::string_view rest;
};

Result<Bracketed> parse_bracketed(std::string_view text) {
  const size_t open = text.find('[');
  const size_t close = open == std::string_view::npos ? open : text.find(']', open);
  if (close == std::string_view::npos)
    return Error::usage(fmt::format("'{}' is not of the form NAME[...]", text));
  return Bracketed{text.substr(0, open), text.substr(open + 1, close - open - 1),
                   text.substr(close + 1)};
}

struct HexPair {
  uint64_t first;
  uint64_t second;
};

Result<HexPair> parse_hex_pair(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos)
    return Error::usage(fmt::format("'{}' is not of the form HEX:HEX", text));
  const uint64_t first = TRY(parse_in_base(text.substr(0, colon), 16));
  const uint64_t second = TRY(parse_in_base(text.substr(colon + 1), 16));
  return HexPair{first, second};
}

constexpr std::array<std::string_view, 8> kExternalsToCome = {"mnt", "dev",  "unix",    "net",
                                                              "pid", "veth", "macvlan", "netdev"};

}  // namespace

Result<uint64_t> parse_number(std::string_view text, uint64_t least, uint64_t most) {
  const uint64_t number = TRY(parse_in_base(text, 10));
  if (number < least || number > most)
    return Error::usage(fmt::format("{} is not between {} and {}", text, least, most));
  return number;
}

Result<uint64_t> parse_size(std::string_view text) {
  unsigned shift = 0;
  std::string_view digits = text;
  if (!digits.empty()) {
    const char suffix = digits.back();
    if (suffix == 'K' || suffix == 'k') shift = 10;
    if (suffix == 'M' || suffix == 'm') shift = 20;
    if (suffix == 'G' || suffix == 'g') shift = 30;
    if (shift != 0) digits.remove_suffix(1);
  }
  const uint64_t number = TRY(parse_in_base(digits, 10));
  if (number > std::numeric_limits<uint64_t>::max() >> shift)
    return Error::usage(fmt::format("{} is too large", text));
  return number << shift;
}

Result<CpuCap> parse_cpu_cap(std::string_view text) {
  CpuCap cap{.image = true, .cpu = false, .fpu = false, .instructions = false};
  if (text.empty()) text = "all";
  while (true) {
    const size_t comma = text.find(',');
    std::string_view word = text.substr(0, comma);
    const bool on = !word.starts_with('^');
    if (!on) word.remove_prefix(1);
    if (word == "none") {
      cap.cpu = cap.fpu = cap.instructions = !on;
    } else if (word == "all") {
      cap.cpu = cap.fpu = cap.instructions = on;
    } else if (word == "cpu") {
      cap.cpu = on;
    } else if (word == "fpu") {
      cap.fpu = on;
    } else if (word == "ins") {
      cap.instructions = on;
    } else {
      return Error::usage(
          fmt::format("'{}' is no CPU capability: cpu, fpu, ins, all or none", word));
    }
    if (comma == std::string_view::npos) return cap;
    text.remove_prefix(comma + 1);
  }
}

Result<FileValidation> parse_file_validation(std::string_view text) {
  if (text == "filesize") return FileValidation::size;
  if (text == "buildid") return FileValidation::build_id;
  return Error::usage(fmt::format("'{}' is no way of file validation: filesize or buildid", text));
}

Result<void> parse_external(std::string_view text, CommonOptions& options) {
  const Bracketed parts = TRY(parse_bracketed(text));
  if (std::find(kExternalsToCome.begin(), kExternalsToCome.end(), parts.name) !=
      kExternalsToCome.end())
    return Error::unsupported(fmt::format("--external {}[...] is not supported yet", parts.name));
  if (parts.name != "file" && parts.name != "tty")
    return Error::usage(fmt::format("'{}' is no kind of external resource", parts.name));
  if (!parts.rest.empty())
    return Error::usage(fmt::format("'{}' follows {}[...]", parts.rest, parts.name));
  const HexPair pair = TRY(parse_hex_pair(parts.inside));
  if (parts.name == "tty") {
    options.external_ttys.push_back({pair.first, pair.second});
    return {};
  }
  if (pair.first > std::numeric_limits<uint32_t>::max())
    return Error::usage(fmt::format("{:x} is no mount id", pair.first));
  options.external_files.push_back({static_cast<uint32_t>(pair.first), pair.second});
  return {};
}

Result<InheritFd> parse_inherit_fd(std::string_view text) {
  if (text.starts_with("debug["))
    return Error::unsupported("--inherit-fd debug[N] is not supported");
  const Bracketed parts = TRY(parse_bracketed(text));
  if (parts.name != "fd" || parts.rest.size() < 2 || parts.rest.front() != ':')
    return Error::usage(fmt::format("'{}' is not of the form fd[NUMBER]:FILE", text));
  const uint64_t number = TRY(parse_number(parts.inside, 0, std::numeric_limits<int>::max()));
  return InheritFd{static_cast<int>(number), std::string(parts.rest.substr(1))};
}

Result<int> parse_verbosity(std::string_view text, int level) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return c == 'v'; }))
    return std::min(kMostVerbose,
                    level + 1 + static_cast<int>(std::min<size_t>(text.size(), kMostVerbose)));
  const uint64_t number = TRY(parse_in_base(text, 10));
  return static_cast<int>(std::min<uint64_t>(number, kMostVerbose));
}

}  // namespace cryo::cli
