#include "procfs/text.h"

#include <algorithm>
#include <charconv>

namespace cryo::procfs {

bool Scanner::skip(char c) {
  if (rest_.empty() || rest_.front() != c) return false;
  rest_.remove_prefix(1);
  return true;
}

bool Scanner::skip(std::string_view text) {
  if (rest_.substr(0, text.size()) != text) return false;
  rest_.remove_prefix(text.size());
  return true;
}

void Scanner::spaces() {
  size_t n = 0;
  while (n < rest_.size() && (rest_[n] == ' ' || rest_[n] == '\t')) ++n;
  rest_.remove_prefix(n);
}

template <class T>
bool Scanner::number(T& out, int base) {
  const std::from_chars_result parsed =
      std::from_chars(rest_.data(), rest_.data() + rest_.size(), out, base);
  if (parsed.ec != std::errc()) return false;
  rest_.remove_prefix(static_cast<size_t>(parsed.ptr - rest_.data()));
  return true;
}

template <class T>
bool Scanner::decimal(T& out) {
  return number(out, 10);
}

template <class T>
bool Scanner::hex(T& out) {
  const std::string_view before = rest_;
  (void)skip("0x");
  if (number(out, 16)) return true;
  rest_ = before;
  return false;
}

template <class T>
bool Scanner::octal(T& out) {
  return number(out, 8);
}

template bool Scanner::decimal(int32_t&);
template bool Scanner::decimal(int64_t&);
template bool Scanner::decimal(uint32_t&);
template bool Scanner::decimal(uint64_t&);
template bool Scanner::hex(uint8_t&);
template bool Scanner::hex(uint32_t&);
template bool Scanner::hex(uint64_t&);
template bool Scanner::octal(uint32_t&);
template bool Scanner::octal(uint64_t&);

bool Scanner::token(std::string_view& out) {
  const size_t end = std::min(rest_.find_first_of(" \t\n"), rest_.size());
  if (end == 0) return false;
  out = rest_.substr(0, end);
  rest_.remove_prefix(end);
  return true;
}

bool Scanner::until(char end, std::string_view& out) {
  const size_t at = rest_.find(end);
  if (at == std::string_view::npos) return false;
  out = rest_.substr(0, at);
  rest_.remove_prefix(at + 1);
  return true;
}

bool Scanner::line(std::string_view& out) {
  if (rest_.empty()) return false;
  const size_t end = std::min(rest_.find('\n'), rest_.size());
  out = rest_.substr(0, end);
  rest_.remove_prefix(std::min(end + 1, rest_.size()));
  return true;
}

namespace {

template <class T, class Read>
Result<T> whole(std::string_view what, std::string_view text, Read&& read) {
  Scanner in(text);
  T value{};
  if (!read(in, value) || (!in.at_end() && in.rest() != "\n")) return malformed(what, text);
  return value;
}

}  // namespace

Result<uint64_t> parse_decimal(std::string_view what, std::string_view text) {
  return whole<uint64_t>(what, text,
                         [](Scanner& in, uint64_t& value) { return in.decimal(value); });
}

Result<int64_t> parse_signed(std::string_view what, std::string_view text) {
  return whole<int64_t>(what, text, [](Scanner& in, int64_t& value) { return in.decimal(value); });
}

Result<uint64_t> parse_hex(std::string_view what, std::string_view text) {
  return whole<uint64_t>(what, text, [](Scanner& in, uint64_t& value) { return in.hex(value); });
}

std::string unescape_octal(std::string_view text, std::string_view escaped) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && text.size() - i >= 4) {
      uint32_t code = 0;
      const char* digits = text.data() + i + 1;
      const std::from_chars_result parsed = std::from_chars(digits, digits + 3, code, 8);
      if (parsed.ec == std::errc() && parsed.ptr == digits + 3 && code < 256 &&
          escaped.find(static_cast<char>(code)) != std::string_view::npos) {
        out += static_cast<char>(code);
        i += 3;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

Error malformed(std::string_view file, std::string_view text, const char* source, int line) {
  constexpr size_t kMost = 120;
  return Error::of(ErrorKind::os,
                   fmt::format("text of {} that was not understood: \"{}\"{}", file,
                               text.substr(0, kMost), text.size() > kMost ? "..." : ""),
                   source, line);
}

}  // namespace cryo::procfs
