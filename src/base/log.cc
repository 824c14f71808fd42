#include "base/log.h"

#include <unistd.h>

#include "base/clock.h"

namespace cryo {
namespace {

constexpr size_t kMostEarly = 64 * 1024;

const char* base_name(const char* path) {
  const char* name = path;
  for (const char* at = path; *at != '\0'; ++at)
    if (*at == '/') name = at + 1;
  return name;
}

}  // namespace

Log::Log() : start_ns_(monotonic_ns()) {}
Log::Log(FdRef sink) : fd_(sink.raw()), start_ns_(monotonic_ns()) {}
Log::~Log() { flush_early(); }

void Log::open(Fd fd) {
  owned_ = std::move(fd);
  open(FdRef(owned_));
}

void Log::open(FdRef fd) {
  fd_ = fd.raw();
  write_out(std::exchange(early_, {}));
}

void Log::flush_early() {
  if (fd_ < 0 && !early_.empty()) {
    fd_ = STDERR_FILENO;
    write_out(std::exchange(early_, {}));
  }
}

std::string Log::prefix() const {
  if (level_ < static_cast<int>(LogLevel::info)) return {};
  const uint64_t us = (monotonic_ns() - start_ns_) / 1000;
  return fmt::format("({:02}.{:06}) ", us / 1'000'000, us % 1'000'000);
}

void Log::error(const Error& error) {
  std::string_view message = error.message();
  for (size_t end = 0; end != std::string_view::npos; message.remove_prefix(end + 1)) {
    end = message.find('\n');
    line(LogLevel::error, message.substr(0, end), error.file(), error.line());
    if (end == std::string_view::npos) break;
  }
  for (const std::string& context : error.trail())
    line(LogLevel::error, "  while " + context, error.file(), error.line());
  if (!error.advice().empty())
    line(LogLevel::error, "  hint: " + error.advice(), error.file(), error.line());
}

void Log::line(LogLevel level, std::string_view text, const char* file, int number) {
  if (level == LogLevel::error && first_error_.empty()) first_error_ = text;
  if (!enabled(level)) return;
  std::string out = prefix();
  if (level == LogLevel::error) out += fmt::format("Error ({}:{}): ", base_name(file), number);
  if (level == LogLevel::warn) out += fmt::format("Warn  ({}:{}): ", base_name(file), number);
  out += text;
  out += '\n';
  write_out(out);
}

void Log::write_out(std::string_view bytes) {
  if (fd_ < 0) {
    if (early_.size() + bytes.size() <= kMostEarly) early_ += bytes;
    return;
  }
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n <= 0) return;  // nobody is left to tell
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace cryo
