#include "plan/fd_view.h"

#include <fcntl.h>

#include <charconv>

#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

template <class T>
T number(std::optional<std::string_view> text, int base, T fallback) {
  T value = fallback;
  if (text) (void)std::from_chars(text->data(), text->data() + text->size(), value, base);
  return value;
}

}  // namespace

Result<FdView> FdView::of_link(FdRef proc, std::string path, uint32_t flags) {
  FdView view;
  view.proc = proc;
  view.path = std::move(path);
  view.flags = flags;
  view.link = TRY(sys::readlinkat(proc, view.path));
  view.st = TRY(sys::fstatat(proc, view.path, 0));
  return view;
}

Result<FdView> FdView::of_fd(FdRef proc, FdNo fd) {
  FdView view = TRY(of_link(proc, fmt::format("fd/{}", fd), 0));
  view.fd = fd;
  view.info = TRY(sys::read_file(proc, fmt::format("fdinfo/{}", fd)));
  const uint32_t flags = number<uint32_t>(view.field("flags"), 8, 0);
  view.cloexec = (flags & O_CLOEXEC) != 0;
  view.flags = flags & ~static_cast<uint32_t>(O_CLOEXEC);
  view.pos = number<uint64_t>(view.field("pos"), 10, 0);
  view.mnt_id = number<int>(view.field("mnt_id"), 10, -1);
  return view;
}

std::optional<std::string_view> FdView::field(std::string_view key) const {
  const std::string_view text = info;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(key) || line.substr(key.size()).substr(0, 1) != ":") continue;
    line.remove_prefix(key.size() + 1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    return line;
  }
  return std::nullopt;
}

std::string_view FdView::anon_name() const {
  constexpr std::string_view kPrefix = "anon_inode:[";
  const std::string_view text = link;
  if (!text.starts_with(kPrefix) || !text.ends_with(']')) return {};
  return text.substr(kPrefix.size(), text.size() - kPrefix.size() - 1);
}

Result<Fd> FdView::reopen(int open_flags) const {
  return sys::openat(proc, path, open_flags | O_CLOEXEC);
}

Result<Fd> FdView::steal(FdRef pidfd) const {
  CHECK(fd.has_value());
  return sys::pidfd_getfd(pidfd, *fd);
}

}  // namespace cryo
