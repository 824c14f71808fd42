// What image files there are: kind, file name, magic and framing, in one table.
//
// Framing of a file:
//   inventory   magic, entries
//   ordinary    IMG_COMMON, magic, entries   (format version 1 has no IMG_COMMON)
//   service     IMG_SERVICE, magic, entries  (in the work directory; their names have no ".img")
//   raw         no head and no entries
// An entry is a 32-bit length, that many bytes of a message, and for some kinds further bytes
// (schema.h). All numbers outside messages are of the host's byte order.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cryo {

constexpr uint32_t kMagicCommon = 0x54564319;
constexpr uint32_t kMagicService = 0x55105940;

enum class ImageKind : uint8_t {
  inventory,
  pstree,
  core,
  ids,
  mm,
  fs,
  fdinfo,
  files,
  pagemap,
  pagemap_shmem,
  pages,
  seccomp,
  // namespaces
  timens,
  pidns,
  utsns,
  userns,
  ipc_var,
  ipc_shm,
  ipc_msg,
  ipc_sem,
  mountpoints,
  netns,
  netdev,
  ifaddr,
  route,
  route6,
  rule,
  iptables,
  ip6tables,
  nftables,
  netns_ct,
  netns_exp,
  tmpfs_dev,
  tmpfs_mount,
  binfmt_misc,
  binfmt_misc_old,
  autofs,
  cgroup,
  // files
  filelocks,
  remap_fpath,
  ghost_file,
  memfd,
  pipes_data,
  fifo_data,
  sk_queues,
  tcp_stream,
  tty_info,
  tty_data,
  bpfmap_file,
  bpfmap_data,
  apparmor,
  cpuinfo,
  stats_dump,
  stats_restore,
  irmap_cache,
  // before files.img: one file per type of open file
  reg_files,
  ext_files,
  ns_files,
  eventfd,
  eventpoll,
  eventpoll_tfd,
  signalfd,
  timerfd,
  inotify,
  inotify_wd,
  fanotify,
  fanotify_mark,
  pipes,
  fifo,
  unixsk,
  inetsk,
  packetsk,
  netlinksk,
  tty,
  tunfile,
  pidfd,
  // before these were part of mm and core
  vmas,
  sigacts,
  creds,
  signal_shared,
  signal_private,
  itimers,
  posix_timers,
  rlimit,
  // ours
  cryo,
};
constexpr size_t kImageKinds = static_cast<size_t>(ImageKind::cryo) + 1;

enum class Framing : uint8_t { inventory, ordinary, service, raw };

struct ImageFormat {
  ImageKind kind;
  const char* pattern;  // "%u" and "%x" stand for the number, decimal and hexadecimal
  uint32_t magic;       // 0 for raw files
  Framing framing;
};

std::span<const ImageFormat> image_formats();  // indexed by ImageKind
const ImageFormat& format_of(ImageKind kind);

// One file: its kind and, where the pattern has one, its number.
struct ImageName {
  ImageKind kind{};
  uint64_t number = 0;
  friend constexpr auto operator<=>(const ImageName&, const ImageName&) = default;
  std::string file() const;
};

// The image that a file name stands for; none for anything else.
std::optional<ImageName> parse_image_name(std::string_view file);

}  // namespace cryo
