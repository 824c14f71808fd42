#include "image/magic.h"

#include <fmt/format.h>

#include <charconv>

#include "base/result.h"

namespace cryo {
namespace {

constexpr Framing kOrdinary = Framing::ordinary;
constexpr Framing kService = Framing::service;
constexpr Framing kRaw = Framing::raw;
using K = ImageKind;

constexpr ImageFormat kFormats[] = {
    {K::inventory, "inventory.img", 0x58313116, Framing::inventory},
    {K::pstree, "pstree.img", 0x50273030, kOrdinary},
    {K::core, "core-%u.img", 0x55053847, kOrdinary},
    {K::ids, "ids-%u.img", 0x54432030, kOrdinary},
    {K::mm, "mm-%u.img", 0x57492820, kOrdinary},
    {K::fs, "fs-%u.img", 0x51403912, kOrdinary},
    {K::fdinfo, "fdinfo-%u.img", 0x56213732, kOrdinary},
    {K::files, "files.img", 0x56303138, kOrdinary},
    {K::pagemap, "pagemap-%u.img", 0x56084025, kOrdinary},
    {K::pagemap_shmem, "pagemap-shmem-%u.img", 0x56084025, kOrdinary},
    {K::pages, "pages-%u.img", 0, kRaw},
    {K::seccomp, "seccomp.img", 0x64413049, kOrdinary},

    {K::timens, "timens-%u.img", 0x43114433, kOrdinary},
    {K::pidns, "pidns-%u.img", 0x61157326, kOrdinary},
    {K::utsns, "utsns-%u.img", 0x54473203, kOrdinary},
    {K::userns, "userns-%u.img", 0x55474906, kOrdinary},
    {K::ipc_var, "ipcns-var-%u.img", 0x53115007, kOrdinary},
    {K::ipc_shm, "ipcns-shm-%u.img", 0x46283044, kOrdinary},
    {K::ipc_msg, "ipcns-msg-%u.img", 0x55453737, kOrdinary},
    {K::ipc_sem, "ipcns-sem-%u.img", 0x59573019, kOrdinary},
    {K::mountpoints, "mountpoints-%u.img", 0x55563928, kOrdinary},
    {K::netns, "netns-%u.img", 0x55933752, kOrdinary},
    {K::netdev, "netdev-%u.img", 0x57373951, kOrdinary},
    {K::ifaddr, "ifaddr-%u.img", 0, kRaw},
    {K::route, "route-%u.img", 0, kRaw},
    {K::route6, "route6-%u.img", 0, kRaw},
    {K::rule, "rule-%u.img", 0, kRaw},
    {K::iptables, "iptables-%u.img", 0, kRaw},
    {K::ip6tables, "ip6tables-%u.img", 0, kRaw},
    {K::nftables, "nftables-%u.img", 0, kRaw},
    {K::netns_ct, "netns-ct-%u.img", 0, kRaw},
    {K::netns_exp, "netns-exp-%u.img", 0, kRaw},
    {K::tmpfs_dev, "tmpfs-dev-%u.tar.gz.img", 0, kRaw},
    {K::tmpfs_mount, "tmpfs-%u.tar.gz.img", 0, kRaw},
    {K::binfmt_misc, "binfmt-misc.img", 0x67343323, kOrdinary},
    {K::binfmt_misc_old, "binfmt-misc-%u.img", 0x67343323, kOrdinary},
    {K::autofs, "autofs-%u.img", 0x49353943, kOrdinary},
    {K::cgroup, "cgroup.img", 0x59383330, kOrdinary},

    {K::filelocks, "filelocks.img", 0x54323616, kOrdinary},
    {K::remap_fpath, "remap-fpath.img", 0x59133954, kOrdinary},
    {K::ghost_file, "ghost-file-%x.img", 0x52583605, kOrdinary},
    {K::memfd, "memfd.img", 0x48453499, kOrdinary},
    {K::pipes_data, "pipes-data.img", 0x56453709, kOrdinary},
    {K::fifo_data, "fifo-data.img", 0x59333054, kOrdinary},
    {K::sk_queues, "sk-queues.img", 0x56264026, kOrdinary},
    {K::tcp_stream, "tcp-stream-%x.img", 0x51465506, kOrdinary},
    {K::tty_info, "tty-info.img", 0x59453036, kOrdinary},
    {K::tty_data, "tty-data.img", 0x59413026, kOrdinary},
    {K::bpfmap_file, "bpfmap-file.img", 0x57506142, kOrdinary},
    {K::bpfmap_data, "bpfmap-data.img", 0x64324033, kOrdinary},
    {K::apparmor, "apparmor.img", 0x59423047, kOrdinary},

    {K::cpuinfo, "cpuinfo.img", 0x61404013, kOrdinary},
    {K::stats_dump, "stats-dump", 0x57093306, kService},
    {K::stats_restore, "stats-restore", 0x57093306, kService},
    {K::irmap_cache, "irmap-cache", 0x57004059, kService},

    {K::reg_files, "reg-files.img", 0x50363636, kOrdinary},
    {K::ext_files, "ext-files.img", 0x59255641, kOrdinary},
    {K::ns_files, "ns-files.img", 0x61394011, kOrdinary},
    {K::eventfd, "eventfd.img", 0x44523722, kOrdinary},
    {K::eventpoll, "eventpoll.img", 0x45023858, kOrdinary},
    {K::eventpoll_tfd, "eventpoll-tfd.img", 0x44433746, kOrdinary},
    {K::signalfd, "signalfd.img", 0x57323820, kOrdinary},
    {K::timerfd, "timerfd.img", 0x50493712, kOrdinary},
    {K::inotify, "inotify.img", 0x48424431, kOrdinary},
    {K::inotify_wd, "inotify-wd.img", 0x54562009, kOrdinary},
    {K::fanotify, "fanotify.img", 0x55096122, kOrdinary},
    {K::fanotify_mark, "fanotify-mark.img", 0x56506035, kOrdinary},
    {K::pipes, "pipes.img", 0x56513555, kOrdinary},
    {K::fifo, "fifo.img", 0x58364939, kOrdinary},
    {K::unixsk, "unixsk.img", 0x54373943, kOrdinary},
    {K::inetsk, "inetsk.img", 0x56443851, kOrdinary},
    {K::packetsk, "packetsk.img", 0x60454618, kOrdinary},
    {K::netlinksk, "netlinksk.img", 0x58005614, kOrdinary},
    {K::tty, "tty.img", 0x59433025, kOrdinary},
    {K::tunfile, "tunfile.img", 0x57143751, kOrdinary},
    {K::pidfd, "pidfd.img", 0x54435556, kOrdinary},

    {K::vmas, "vmas-%u.img", 0x54123737, kOrdinary},
    {K::sigacts, "sigacts-%u.img", 0x55344201, kOrdinary},
    {K::creds, "creds-%u.img", 0x54023547, kOrdinary},
    {K::signal_shared, "signal-s-%u.img", 0x59255647, kOrdinary},
    {K::signal_private, "signal-p-%u.img", 0x59255647, kOrdinary},
    {K::itimers, "itimers-%u.img", 0x57464056, kOrdinary},
    {K::posix_timers, "posix-timers-%u.img", 0x52603957, kOrdinary},
    {K::rlimit, "rlimit-%u.img", 0x57113925, kOrdinary},

    {K::cryo, "cryo-%u.img", 0x4f595243, kOrdinary},  // the bytes "CRYO"
};

constexpr bool in_order() {
  size_t i = 0;
  for (const ImageFormat& f : kFormats) {
    if (static_cast<size_t>(f.kind) != i++) return false;
  }
  return i == kImageKinds;
}
static_assert(in_order(), "image_formats() is indexed by ImageKind");

struct Pattern {
  std::string_view before;
  char conversion = 0;  // 'u', 'x', or 0: no number
  std::string_view after;
};

Pattern split(std::string_view pattern) {
  const size_t at = pattern.find('%');
  if (at == std::string_view::npos) return {pattern, 0, {}};
  return {pattern.substr(0, at), pattern[at + 1], pattern.substr(at + 2)};
}

// The number in `file` if it has exactly the form that file() writes: no sign, no leading zeros.
std::optional<uint64_t> match(const Pattern& p, std::string_view file) {
  if (p.conversion == 0) return file == p.before ? std::optional<uint64_t>(0) : std::nullopt;
  if (!file.starts_with(p.before) || !file.ends_with(p.after)) return {};
  if (file.size() <= p.before.size() + p.after.size()) return {};
  const std::string_view digits =
      file.substr(p.before.size(), file.size() - p.before.size() - p.after.size());
  const char* const end = digits.data() + digits.size();
  uint64_t number = 0;
  const auto parsed = std::from_chars(digits.data(), end, number, p.conversion == 'x' ? 16 : 10);
  if (parsed.ec != std::errc() || parsed.ptr != end) return {};
  if (digits.size() > 1 && digits[0] == '0') return {};
  return number;
}

}  // namespace

std::span<const ImageFormat> image_formats() { return kFormats; }

const ImageFormat& format_of(ImageKind kind) {
  CHECK(static_cast<size_t>(kind) < kImageKinds);
  return kFormats[static_cast<size_t>(kind)];
}

std::string ImageName::file() const {
  const Pattern p = split(format_of(kind).pattern);
  if (p.conversion == 0) return std::string(p.before);
  if (p.conversion == 'x') return fmt::format("{}{:x}{}", p.before, number, p.after);
  return fmt::format("{}{}{}", p.before, number, p.after);
}

std::optional<ImageName> parse_image_name(std::string_view file) {
  for (const ImageFormat& f : kFormats) {
    if (const std::optional<uint64_t> number = match(split(f.pattern), file))
      return ImageName{f.kind, *number};
  }
  return {};
}

}  // namespace cryo
