// Result<T>: what every fallible function returns, and Error: why it could not do its work.
//
// An Error carries its kind, the errno it came from (0 when there is none), the innermost message,
// a trail of "while ..." lines added on the way up, and one hint for the reader. It is logged once,
// at the top. The member names are those of std::expected, which GCC 12 does not have yet.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cryo {

enum class ErrorKind : uint8_t {
  os,           // a system call failed
  gone,         // the task died under us: an ordinary result
  denied,       // a permission or capability is missing
  unsupported,  // something that cannot be dumped or restored
  bad_image,    // an image that is damaged, inconsistent or hostile
  old_kernel,   // the kernel lacks a feature
  usage,        // wrong options
  bug,          // our own mistake
};

class Error {
 public:
  // `what` names the call and its arguments: "openat(3, maps, O_RDONLY)". Kind follows from `err`:
  // ESRCH is gone, EPERM and EACCES are denied, ENOSYS is old_kernel, everything else is os.
  static Error os(int err, std::string what, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE());
  static Error of(ErrorKind kind, std::string what, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE());
  static Error gone(std::string what, const char* file = __builtin_FILE(),
                    int line = __builtin_LINE());
  static Error unsupported(std::string what, const char* file = __builtin_FILE(),
                           int line = __builtin_LINE());
  static Error bad_image(std::string what, const char* file = __builtin_FILE(),
                         int line = __builtin_LINE());
  static Error usage(std::string what, const char* file = __builtin_FILE(),
                     int line = __builtin_LINE());

  // Adds one line to the trail: "while restoring fd 12 (timerfd)" is during("restoring fd 12 (timerfd)").
  Error&& during(std::string context) &&;
  // Sets the advice; the first one given (the innermost) stays.
  Error&& hint(std::string advice) &&;

  ErrorKind kind() const { return detail_->kind; }
  int code() const { return detail_->code; }
  const std::string& message() const { return detail_->message; }
  const std::vector<std::string>& trail() const { return detail_->trail; }  // innermost first
  const std::string& advice() const { return detail_->hint; }
  const char* file() const { return detail_->file; }
  int line() const { return detail_->line; }
  // Message, trail (outermost first) and hint on lines of their own, without a final newline.
  std::string to_string() const;

 private:
  struct Detail {
    ErrorKind kind;
    int code;
    int line;
    const char* file;
    std::string message;
    std::vector<std::string> trail;
    std::string hint;
  };
  explicit Error(Detail detail) : detail_(std::make_unique<Detail>(std::move(detail))) {}
  std::unique_ptr<Detail> detail_;
};

// Ends the process: for our own bugs only. Safe while a task is frozen, because the puppet heals it.
[[noreturn]] void check_failed(const char* what, const char* file, int line);
#define CHECK(condition) \
  ((condition) ? (void)0 : ::cryo::check_failed(#condition, __FILE__, __LINE__))

template <class T = void>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  // Implicit, as in std::expected.
  // NOLINTBEGIN(google-explicit-constructor, bugprone-forwarding-reference-overload)
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  template <class U>
  requires(std::is_constructible_v<T, U&&> && !std::is_same_v<std::decay_t<U>, T> &&
           !std::is_same_v<std::decay_t<U>, Error> && !std::is_same_v<std::decay_t<U>, Result>)
      Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  // NOLINTEND(google-explicit-constructor, bugprone-forwarding-reference-overload)

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & {
    CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  T value() && {
    CHECK(has_value());
    return std::move(*std::get_if<0>(&state_));
  }
  T* operator->() { return &value(); }
  T& operator*() & { return value(); }
  T value_or(T fallback) && { return has_value() ? std::move(*this).value() : std::move(fallback); }
  const Error& error() const& {
    CHECK(!has_value());
    return *std::get_if<1>(&state_);
  }
  Error error() && {
    CHECK(!has_value());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : error_(std::in_place_index<1>, std::move(error)) {}
  bool has_value() const { return error_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  void value() const { CHECK(has_value()); }
  const Error& error() const& {
    CHECK(!has_value());
    return *std::get_if<1>(&error_);
  }
  Error error() && {
    CHECK(!has_value());
    return std::move(*std::get_if<1>(&error_));
  }

 private:
  std::variant<std::monostate, Error> error_;
};

}  // namespace cryo

// The value, or return the error from this function. Only as a whole initialiser or statement.
#define TRY(...)                             \
  __extension__({                            \
    auto try_result_ = (__VA_ARGS__);        \
    if (!try_result_) [[unlikely]] {         \
      return std::move(try_result_).error(); \
    }                                        \
    std::move(try_result_).value();          \
  })

// The same, adding "while <format>" to the trail. The text is formatted only on failure.
#define TRY_IN(expression, ...)                                                 \
  __extension__({                                                               \
    auto try_result_ = (expression);                                            \
    if (!try_result_) [[unlikely]] {                                            \
      return std::move(try_result_).error().during(::fmt::format(__VA_ARGS__)); \
    }                                                                           \
    std::move(try_result_).value();                                             \
  })
