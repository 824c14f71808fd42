#include "frontend/cli/config_file.h"

#include <array>
#include <cstdio>
#include <memory>

namespace cryo::cli {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view without_leading_blanks(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

bool nothing_left(std::string_view text) {
  const std::string_view rest = without_leading_blanks(text);
  return rest.empty() || rest.front() == '#';
}

Error bad_format(size_t number, std::string_view why) {
  return Error::usage(
             fmt::format("unsupported configuration file format in line {}: {}", number, why))
      .hint("one option per line: its long name without dashes, then a value if it takes one");
}

// A value in double quotes; `rest` is what follows the closing one.
std::optional<std::string> take_quoted(std::string_view text, std::string_view& rest) {
  std::string value;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      rest = text.substr(i + 1);
      return value;
    }
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) ++i;
    value += text[i];
  }
  return std::nullopt;
}

Result<ConfigLine> split_line(std::string_view text, size_t number) {
  const size_t name_end = text.find_first_of(kBlanks);
  ConfigLine line{number, std::string(text.substr(0, name_end)), std::nullopt};
  if (line.name.starts_with('-'))
    return bad_format(number, fmt::format("'{}' begins with a dash", line.name));
  if (name_end == std::string_view::npos || nothing_left(text.substr(name_end))) return line;
  const std::string_view after = without_leading_blanks(text.substr(name_end));
  std::string_view rest;
  if (after.front() == '"') {
    line.value = take_quoted(after, rest);
    if (!line.value) return bad_format(number, "a quote is not closed");
  } else {
    const size_t value_end = after.find_first_of(kBlanks);
    line.value = std::string(after.substr(0, value_end));
    if (value_end != std::string_view::npos) rest = after.substr(value_end);
  }
  if (!nothing_left(rest)) return bad_format(number, "more than one value");
  return line;
}

}  // namespace

Result<std::vector<ConfigLine>> split_config(std::string_view text) {
  std::vector<ConfigLine> lines;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = without_leading_blanks(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (nothing_left(line)) continue;
    ConfigLine split = TRY(split_line(line, number));
    lines.push_back(std::move(split));
  }
  return lines;
}

std::string read_config_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             &std::fclose);
  std::string text;
  if (file == nullptr) return text;
  std::array<char, 4096> part;
  while (const size_t n = std::fread(part.data(), 1, part.size(), file.get()))
    text.append(part.data(), n);
  return text;
}

}  // namespace cryo::cli
