#include "procfs/fdinfo.h"

#include "procfs/text.h"

namespace cryo::procfs {
namespace {

// Whole value by `read`; blanks and nothing else may follow.
template <class T, class Read>
Result<T> value_of(std::optional<std::string_view> text, std::string_view key, Read&& read) {
  if (!text) return Error::of(ErrorKind::os, fmt::format("no {} in fdinfo", key));
  Scanner in(*text);
  T value{};
  if (!read(in, value)) return malformed(fmt::format("fdinfo ({})", key), *text);
  in.spaces();
  if (!in.at_end()) return malformed(fmt::format("fdinfo ({})", key), *text);
  return value;
}

// Key and value of "key:  value"; false without a colon.
bool split(std::string_view line, std::string_view& key, std::string_view& value) {
  Scanner in(line);
  if (!in.until(':', key)) return false;
  in.spaces();
  value = in.rest();
  return true;
}

}  // namespace

Result<FdInfo> FdInfo::parse(std::string text) {
  FdInfo info;
  info.text_ = std::move(text);
  info.pos_ = TRY(info.decimal("pos"));
  info.flags_ = static_cast<uint32_t>(TRY(info.octal("flags")));
  info.mnt_id_ = static_cast<int32_t>(TRY(info.signed_decimal("mnt_id")));
  if (info.find("ino")) info.ino_ = TRY(info.decimal("ino"));
  return info;
}

std::optional<std::string_view> FdInfo::find(std::string_view wanted) const {
  Scanner in(text_);
  std::string_view key;
  std::string_view value;
  for (std::string_view line; in.line(line);) {
    if (split(line, key, value) && key == wanted) return value;
  }
  return std::nullopt;
}

std::vector<std::string_view> FdInfo::all(std::string_view wanted) const {
  std::vector<std::string_view> values;
  Scanner in(text_);
  std::string_view key;
  std::string_view value;
  for (std::string_view line; in.line(line);) {
    if (split(line, key, value) && key == wanted) values.push_back(value);
  }
  return values;
}

Result<uint64_t> FdInfo::decimal(std::string_view key) const {
  return value_of<uint64_t>(find(key), key,
                            [](Scanner& in, uint64_t& out) { return in.decimal(out); });
}
Result<int64_t> FdInfo::signed_decimal(std::string_view key) const {
  return value_of<int64_t>(find(key), key,
                           [](Scanner& in, int64_t& out) { return in.decimal(out); });
}
Result<uint64_t> FdInfo::hex(std::string_view key) const {
  return value_of<uint64_t>(find(key), key, [](Scanner& in, uint64_t& out) { return in.hex(out); });
}
Result<uint64_t> FdInfo::octal(std::string_view key) const {
  return value_of<uint64_t>(find(key), key,
                            [](Scanner& in, uint64_t& out) { return in.octal(out); });
}

std::optional<std::string_view> FieldLine::find(std::string_view wanted) const {
  Scanner in(text_);
  std::string_view key;
  std::string_view value;
  for (in.spaces(); in.until(':', key); in.spaces()) {
    in.spaces();
    if (!in.token(value)) return std::nullopt;
    if (key == wanted) return value;
  }
  return std::nullopt;
}

Result<uint64_t> FieldLine::decimal(std::string_view key) const {
  return value_of<uint64_t>(find(key), key,
                            [](Scanner& in, uint64_t& out) { return in.decimal(out); });
}
Result<uint64_t> FieldLine::hex(std::string_view key) const {
  return value_of<uint64_t>(find(key), key, [](Scanner& in, uint64_t& out) { return in.hex(out); });
}

// --- kinds with lines of their own

Result<std::vector<EpollTarget>> epoll_targets(const FdInfo& info) {
  std::vector<EpollTarget> targets;
  for (const std::string_view value : info.all("tfd")) {
    Scanner in(value);
    EpollTarget target;
    if (!in.decimal(target.fd)) return malformed("fdinfo (tfd)", value);
    const FieldLine fields(in.rest());
    target.events = static_cast<uint32_t>(TRY(fields.hex("events")));
    target.data = TRY(fields.hex("data"));
    target.pos = TRY(fields.decimal("pos"));
    target.ino = TRY(fields.hex("ino"));
    target.device = TRY(fields.hex("sdev"));
    targets.push_back(target);
  }
  return targets;
}

namespace {

Result<std::string> bytes_of(std::string_view hex) {
  std::string bytes;
  if (hex.size() % 2 != 0) return malformed("fdinfo (f_handle)", hex);
  for (size_t at = 0; at < hex.size(); at += 2) {
    Scanner in(hex.substr(at, 2));
    uint8_t byte = 0;
    if (!in.hex(byte) || !in.at_end()) return malformed("fdinfo (f_handle)", hex);
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

Result<InotifyWatch> inotify_watch(std::string_view line) {
  const FieldLine fields(line);
  InotifyWatch watch;
  watch.wd = static_cast<int32_t>(TRY(fields.decimal("wd")));
  watch.ino = TRY(fields.hex("ino"));
  watch.device = TRY(fields.hex("sdev"));
  watch.mask = static_cast<uint32_t>(TRY(fields.hex("mask")));
  watch.ignored_mask = static_cast<uint32_t>(TRY(fields.hex("ignored_mask")));
  if (const std::optional<std::string_view> handle = fields.find("f_handle")) {
    watch.handle_type = static_cast<int32_t>(TRY(fields.hex("fhandle-type")));
    watch.handle = TRY(bytes_of(*handle));
    if (watch.handle.size() != TRY(fields.hex("fhandle-bytes")))
      return malformed("fdinfo (f_handle)", line);
  }
  return watch;
}

}  // namespace

Result<std::vector<InotifyWatch>> inotify_watches(const FdInfo& info) {
  std::vector<InotifyWatch> watches;
  Scanner in(info.text());
  for (std::string_view line; in.line(line);) {
    Scanner row(line);
    if (row.skip("inotify ")) watches.push_back(TRY(inotify_watch(row.rest())));
  }
  return watches;
}

namespace {

// "(99, 999746597)"
bool pair_of(std::optional<std::string_view> text, int64_t& seconds, int64_t& ns) {
  Scanner in(text.value_or(std::string_view()));
  return in.skip('(') && in.decimal(seconds) && in.skip(", ") && in.decimal(ns) && in.skip(')');
}

}  // namespace

Result<TimerFdInfo> timerfd_info(const FdInfo& info) {
  TimerFdInfo timer;
  timer.clock = static_cast<int32_t>(TRY(info.signed_decimal("clockid")));
  timer.ticks = TRY(info.decimal("ticks"));
  timer.settime_flags = static_cast<uint32_t>(TRY(info.octal("settime flags")));
  if (!pair_of(info.find("it_value"), timer.value_seconds, timer.value_ns) ||
      !pair_of(info.find("it_interval"), timer.interval_seconds, timer.interval_ns)) {
    return malformed("fdinfo (timerfd)", info.text());
  }
  return timer;
}

// --- links

Link parse_link(std::string text) {
  constexpr std::string_view kDeleted = " (deleted)";
  constexpr std::string_view kMemfd = "/memfd:";
  Link link;
  std::string_view view = text;
  if (view.substr(0, 1) == "/") {
    link.kind = view.starts_with(kMemfd) ? Link::Kind::memfd : Link::Kind::path;
    link.deleted = view.ends_with(kDeleted);
    if (link.deleted) view.remove_suffix(kDeleted.size());
    if (link.kind == Link::Kind::memfd) view.remove_prefix(kMemfd.size());
    link.name = view;
  } else {
    Scanner in(view);
    std::string_view name;
    link.name = view;
    if (in.skip("anon_inode:")) {
      link.kind = Link::Kind::anon_inode;
      const std::string_view rest = in.rest();
      const bool bracketed = rest.size() >= 2 && rest.front() == '[' && rest.back() == ']';
      link.name = bracketed ? rest.substr(1, rest.size() - 2) : rest;
    } else if (in.until(':', name) && in.skip('[') && in.decimal(link.number) && in.rest() == "]") {
      link.kind = Link::Kind::object;
      link.name = name;
    } else {
      link.number = 0;
    }
  }
  link.text = std::move(text);
  return link;
}

}  // namespace cryo::procfs
