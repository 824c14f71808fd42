// Log: the one place that error, warning and progress text goes to, in the line shapes that callers
// of CRIU look for:
//   (00.012345) Error (file.cc:12): text        timestamps at level >= 3
//   (00.012345) Warn  (file.cc:12): text
//   (00.012345) text                            info and debug
// A Log is passed, never global. Lines written before open() are kept and flushed into the log
// once it is open; flush_early() sends them to stderr when it never opens.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/fd.h"
#include "base/result.h"

namespace cryo {

enum class LogLevel : uint8_t { message = 0, error = 1, warn = 2, info = 3, debug = 4 };

// A format string that knows where it stands in the source.
template <class... A>
struct LogFormat {
  template <class S>
  requires std::is_convertible_v<const S&, std::string_view>
  consteval LogFormat(const S& text, const char* in = __builtin_FILE(),
                      int at = __builtin_LINE())  // NOLINT: implicit
      : format(text), file(in), line(at) {}
  fmt::format_string<A...> format;
  const char* file;
  int line;
};

class Log {
 public:
  Log();                     // level warn, unopened: lines are kept (at most 64 KiB)
  explicit Log(FdRef sink);  // open from the start; does not own the descriptor
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void set_level(int level) { level_ = level; }
  int level() const { return level_; }
  bool enabled(LogLevel level) const { return static_cast<int>(level) <= level_; }

  // Sends everything kept so far, and all that follows, to `fd`.
  void open(Fd fd);
  void open(FdRef fd);
  void flush_early();
  // Where the lines go: the output of programs that we run goes there, too.
  FdRef sink() const { return FdRef(fd_ >= 0 ? fd_ : 2); }
  // The first error line logged, without the prefix: RPC's cr_errmsg. Empty when there was none.
  const std::string& first_error() const { return first_error_; }

  // An Error with its trail and hint, as one Error line per line of text.
  void error(const Error& error);
  template <class... A>
  void error(std::type_identity_t<LogFormat<A...>> f, A&&... a) {
    line(LogLevel::error, fmt::format(f.format, std::forward<A>(a)...), f.file, f.line);
  }
  template <class... A>
  void warn(std::type_identity_t<LogFormat<A...>> f, A&&... a) {
    if (enabled(LogLevel::warn))
      line(LogLevel::warn, fmt::format(f.format, std::forward<A>(a)...), f.file, f.line);
  }
  template <class... A>
  void info(fmt::format_string<A...> f, A&&... a) {
    if (enabled(LogLevel::info)) line(LogLevel::info, fmt::format(f, std::forward<A>(a)...));
  }
  template <class... A>
  void debug(fmt::format_string<A...> f, A&&... a) {
    if (enabled(LogLevel::debug)) line(LogLevel::debug, fmt::format(f, std::forward<A>(a)...));
  }

 private:
  void line(LogLevel level, std::string_view text, const char* file = "", int number = 0);
  void write_out(std::string_view bytes);
  std::string prefix() const;

  Fd owned_;
  int fd_ = -1;
  int level_ = 2;
  uint64_t start_ns_;  // CLOCK_MONOTONIC at construction
  std::string early_;
  std::string first_error_;
};

}  // namespace cryo
