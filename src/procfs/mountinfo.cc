#include "procfs/mountinfo.h"

#include <sys/sysmacros.h>

#include "procfs/text.h"

namespace cryo::procfs {
namespace {

constexpr std::string_view kEscaped = " \t\n\\#";

bool word(Scanner& in, std::string& out) {
  std::string_view text;
  if (!in.token(text)) return false;
  out = unescape_octal(text, kEscaped);
  return true;
}

// An empty source is written as nothing between two blanks.
bool word_or_nothing(Scanner& in, std::string& out) {
  if (in.rest().substr(0, 1) == " ") return true;
  return word(in, out);
}

// "shared:1 master:2 - ": any number of tags up to the dash. Unknown ones are a newer kernel's.
bool tags(Scanner& in, Mount& mount) {
  while (!in.skip("- ")) {
    std::string_view tag;
    if (!in.token(tag) || !in.skip(' ')) return false;
    Scanner one(tag);
    if (one.skip("unbindable")) {
      mount.unbindable = true;
    } else if (one.skip("shared:")) {
      if (!one.decimal(mount.shared)) return false;
    } else if (one.skip("master:")) {
      if (!one.decimal(mount.master)) return false;
    } else if (one.skip("propagate_from:")) {
      if (!one.decimal(mount.propagate_from)) return false;
    }
  }
  return true;
}

Result<Mount> parse_mount(std::string_view line) {
  Mount mount;
  uint32_t major = 0;
  uint32_t minor = 0;
  Scanner in(line);
  const bool ok = in.decimal(mount.id) && in.skip(' ') && in.decimal(mount.parent) &&
                  in.skip(' ') && in.decimal(major) && in.skip(':') && in.decimal(minor) &&
                  in.skip(' ') && word(in, mount.root) && in.skip(' ') &&
                  word(in, mount.mountpoint) && in.skip(' ') && word(in, mount.options) &&
                  in.skip(' ') && tags(in, mount) && word(in, mount.type) && in.skip(' ') &&
                  word_or_nothing(in, mount.source) && in.skip(' ');
  if (!ok) return malformed("mountinfo", line);
  mount.device = makedev(major, minor);
  mount.super_options = unescape_octal(in.rest(), kEscaped);
  return mount;
}

}  // namespace

Result<std::vector<Mount>> parse_mountinfo(std::string_view text) {
  std::vector<Mount> mounts;
  Scanner in(text);
  for (std::string_view line; in.line(line);) mounts.push_back(TRY(parse_mount(line)));
  return mounts;
}

}  // namespace cryo::procfs
