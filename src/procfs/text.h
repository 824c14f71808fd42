// Scanner: reads the kernel's text left to right. A failed step consumes nothing and answers false,
// so that a parser is one chain of && and malformed text can never be read past its end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cryo::procfs {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  bool skip(char c);
  bool skip(std::string_view text);
  void spaces();  // blanks and tabs, also none

  // A number up to the first character that does not belong to it. An overflow is a failure.
  template <class T>
  bool decimal(T& out);
  template <class T>
  bool hex(T& out);  // also with 0x before it
  template <class T>
  bool octal(T& out);

  // Up to the next blank, tab or newline; an empty token is a failure.
  bool token(std::string_view& out);
  // Up to `end`, which is skipped.
  bool until(char end, std::string_view& out);
  // The next line without its newline; false at the end of the text.
  bool line(std::string_view& out);

 private:
  template <class T>
  bool number(T& out, int base);
  std::string_view rest_;
};

// A whole file that is one number (and a newline).
Result<uint64_t> parse_decimal(std::string_view what, std::string_view text);
Result<int64_t> parse_signed(std::string_view what, std::string_view text);
Result<uint64_t> parse_hex(std::string_view what, std::string_view text);

// Undoes the kernel's \ooo escapes of the characters in `escaped`; other backslashes stay.
std::string unescape_octal(std::string_view text, std::string_view escaped);

// "... in status: "text that was not understood"".
Error malformed(std::string_view file, std::string_view text, const char* source = __builtin_FILE(),
                int line = __builtin_LINE());

}  // namespace cryo::procfs
