// /proc/PID/fdinfo/N and the links of /proc/PID/fd, map_files, exe, cwd, root and ns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cryo::procfs {

// Four lines of every file and the lines of its kind, which are looked up by key:
//   "eventfd-count:                5"    hex("eventfd-count") == 5
class FdInfo {
 public:
  static Result<FdInfo> parse(std::string text);

  uint64_t pos() const { return pos_; }
  uint32_t flags() const { return flags_; }  // O_*, also O_CLOEXEC of this descriptor
  int32_t mnt_id() const { return mnt_id_; }
  uint64_t ino() const { return ino_; }  // 5.14; 0 before

  // The text after the key and its blanks; nothing when there is no such line.
  std::optional<std::string_view> find(std::string_view key) const;
  std::vector<std::string_view> all(std::string_view key) const;
  // An absent or malformed value is an error that names the key.
  Result<uint64_t> decimal(std::string_view key) const;
  Result<int64_t> signed_decimal(std::string_view key) const;
  Result<uint64_t> hex(std::string_view key) const;
  Result<uint64_t> octal(std::string_view key) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  uint64_t pos_ = 0;
  uint32_t flags_ = 0;
  int32_t mnt_id_ = 0;
  uint64_t ino_ = 0;
};

// Lines of several values, "tfd:  3 events: 19 data: 0" or "wd:2 ino:2 mask:200".
class FieldLine {
 public:
  explicit FieldLine(std::string_view text) : text_(text) {}
  std::optional<std::string_view> find(std::string_view key) const;
  Result<uint64_t> decimal(std::string_view key) const;
  Result<uint64_t> hex(std::string_view key) const;

 private:
  std::string_view text_;
};

struct EpollTarget {
  int32_t fd = 0;  // the number it was added by, which may be closed or reused since
  uint32_t events = 0;
  uint64_t data = 0;
  uint64_t pos = 0;
  uint64_t ino = 0;
  uint64_t device = 0;  // sdev: the kernel's own encoding (major << 20 | minor)
};
Result<std::vector<EpollTarget>> epoll_targets(const FdInfo& info);

struct InotifyWatch {
  int32_t wd = 0;
  uint64_t ino = 0;
  uint64_t device = 0;  // as above
  uint32_t mask = 0;
  uint32_t ignored_mask = 0;
  int32_t handle_type = 0;
  std::string handle;  // bytes for open_by_handle_at; empty where the file system has none
};
Result<std::vector<InotifyWatch>> inotify_watches(const FdInfo& info);

// timerfd, as it was at the time of reading.
struct TimerFdInfo {
  int32_t clock = 0;
  uint64_t ticks = 0;
  uint32_t settime_flags = 0;
  int64_t value_seconds = 0;  // until the next expiry
  int64_t value_ns = 0;
  int64_t interval_seconds = 0;
  int64_t interval_ns = 0;
};
Result<TimerFdInfo> timerfd_info(const FdInfo& info);

// What a link says. The text of a path is exact here, but for " (deleted)": see deleted.
struct Link {
  enum class Kind : uint8_t {
    path,        // "/..."
    memfd,       // "/memfd:NAME"
    anon_inode,  // "anon_inode:[eventfd]", "anon_inode:inotify": name is without brackets
    object,      // "socket:[12]", "pipe:[3]", "mnt:[4026531841]": name and number
    other,
  };
  Kind kind = Kind::other;
  std::string text;     // as read
  std::string name;     // path without " (deleted)", memfd or anonymous inode or object name
  uint64_t number = 0;  // inode of an object
  bool deleted =
      false;  // the text ends so. A file may be *called* that: st_nlink of the fd decides.
};
Link parse_link(std::string text);

}  // namespace cryo::procfs
