#include "base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace cryo {
namespace {

ErrorKind kind_of(int err) {
  if (err == ESRCH) return ErrorKind::gone;
  if (err == EPERM || err == EACCES) return ErrorKind::denied;
  if (err == ENOSYS) return ErrorKind::old_kernel;
  return ErrorKind::os;
}

// The path from src/ on: the same in every build tree.
const char* short_file(const char* file) {
  const char* found = nullptr;
  for (const char* at = std::strstr(file, "src/"); at != nullptr; at = std::strstr(at + 1, "src/"))
    found = at + 4;
  return found != nullptr ? found : file;
}

}  // namespace

Error Error::os(int err, std::string what, const char* file, int line) {
  const char* name = strerrorname_np(err);
  what += fmt::format(": {} ({})",
                      strerrordesc_np(err) != nullptr ? strerrordesc_np(err) : "unknown error",
                      name != nullptr ? name : "?");
  return Error({kind_of(err), err, line, short_file(file), std::move(what), {}, {}});
}

Error Error::of(ErrorKind kind, std::string what, const char* file, int line) {
  return Error({kind, 0, line, short_file(file), std::move(what), {}, {}});
}

Error Error::gone(std::string what, const char* file, int line) {
  return of(ErrorKind::gone, std::move(what), file, line);
}
Error Error::unsupported(std::string what, const char* file, int line) {
  return of(ErrorKind::unsupported, std::move(what), file, line);
}
Error Error::bad_image(std::string what, const char* file, int line) {
  return of(ErrorKind::bad_image, std::move(what), file, line);
}
Error Error::usage(std::string what, const char* file, int line) {
  return of(ErrorKind::usage, std::move(what), file, line);
}

Error&& Error::during(std::string context) && {
  detail_->trail.push_back(std::move(context));
  return std::move(*this);
}

Error&& Error::hint(std::string advice) && {
  if (detail_->hint.empty()) detail_->hint = std::move(advice);
  return std::move(*this);
}

std::string Error::to_string() const {
  std::string text = fmt::format("{}   [{}:{}]", detail_->message, detail_->file, detail_->line);
  for (const std::string& context : detail_->trail) text += fmt::format("\n  while {}", context);
  if (!detail_->hint.empty()) text += fmt::format("\n  hint: {}", detail_->hint);
  return text;
}

void check_failed(const char* what, const char* file, int line) {
  (void)std::fprintf(stderr, "cryo: bug: %s does not hold at %s:%d\n", what, short_file(file),
                     line);
  std::abort();
}

}  // namespace cryo
