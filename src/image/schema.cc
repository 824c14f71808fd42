#include "image/schema.h"

#include <google/protobuf/message_lite.h>

#include <algorithm>
#include <memory>

#include "apparmor.pb.h"
#include "autofs.pb.h"
#include "binfmt-misc.pb.h"
#include "bpfmap-data.pb.h"
#include "cgroup.pb.h"
#include "core.pb.h"
#include "cpuinfo.pb.h"
#include "cryo.pb.h"
#include "fdinfo.pb.h"
#include "fh.pb.h"
#include "file-lock.pb.h"
#include "fs.pb.h"
#include "ghost-file.pb.h"
#include "inventory.pb.h"
#include "ipc-msg.pb.h"
#include "ipc-sem.pb.h"
#include "ipc-shm.pb.h"
#include "ipc-var.pb.h"
#include "mm.pb.h"
#include "mnt.pb.h"
#include "netdev.pb.h"
#include "pagemap.pb.h"
#include "pidns.pb.h"
#include "pipe-data.pb.h"
#include "pstree.pb.h"
#include "remap-file-path.pb.h"
#include "seccomp.pb.h"
#include "sk-packet.pb.h"
#include "stats.pb.h"
#include "timens.pb.h"
#include "userns.pb.h"
#include "utsns.pb.h"

namespace cryo {
namespace {

using google::protobuf::MessageLite;
using K = ImageKind;

template <class Pb>
const MessageLite& of() {
  return Pb::default_instance();
}

template <class Pb>
constexpr ImageSchema entries(ImageKind kind) {
  return {kind, &of<Pb>, &of<Pb>};
}

template <class Pb, auto size>
constexpr ImageSchema with_payload(ImageKind kind) {
  return {kind, &of<Pb>, &of<Pb>, PayloadKind::sized,
          [](const MessageLite& entry) { return size(static_cast<const Pb&>(entry)); }};
}

uint64_t ipc_shm_payload(const pb::ipc_shm_entry& shm) {
  return shm.in_pagemaps() ? 0 : padded(shm.size(), 4);
}
uint64_t ipc_sem_payload(const pb::ipc_sem_entry& sem) {
  return padded(uint64_t{sem.nsems()} * 2, 8);
}
uint64_t pipe_payload(const pb::pipe_data_entry& pipe) { return pipe.bytes(); }
uint64_t packet_payload(const pb::sk_packet_entry& packet) { return packet.length(); }
uint64_t tcp_payload(const pb::tcp_stream_entry& tcp) {
  return uint64_t{tcp.inq_len()} + tcp.outq_len();
}
uint64_t bpfmap_payload(const pb::bpfmap_data_entry& map) {
  return uint64_t{map.keys_bytes()} + map.values_bytes();
}

constexpr ImageSchema kSchemas[] = {
    entries<pb::inventory_entry>(K::inventory),
    entries<pb::pstree_entry>(K::pstree),
    entries<pb::core_entry>(K::core),
    entries<pb::task_kobj_ids_entry>(K::ids),
    entries<pb::mm_entry>(K::mm),
    entries<pb::fs_entry>(K::fs),
    entries<pb::fdinfo_entry>(K::fdinfo),
    entries<pb::file_entry>(K::files),
    {K::pagemap, &of<pb::pagemap_head>, &of<pb::pagemap_entry>},
    {K::pagemap_shmem, &of<pb::pagemap_head>, &of<pb::pagemap_entry>},
    entries<pb::seccomp_entry>(K::seccomp),

    entries<pb::timens_entry>(K::timens),
    entries<pb::pidns_entry>(K::pidns),
    entries<pb::utsns_entry>(K::utsns),
    entries<pb::userns_entry>(K::userns),
    entries<pb::ipc_var_entry>(K::ipc_var),
    with_payload<pb::ipc_shm_entry, ipc_shm_payload>(K::ipc_shm),
    {K::ipc_msg, &of<pb::ipc_msg_entry>, &of<pb::ipc_msg_entry>, PayloadKind::messages},
    with_payload<pb::ipc_sem_entry, ipc_sem_payload>(K::ipc_sem),
    entries<pb::mnt_entry>(K::mountpoints),
    entries<pb::netns_entry>(K::netns),
    entries<pb::net_device_entry>(K::netdev),
    entries<pb::binfmt_misc_entry>(K::binfmt_misc),
    entries<pb::binfmt_misc_entry>(K::binfmt_misc_old),
    entries<pb::autofs_entry>(K::autofs),
    entries<pb::cgroup_entry>(K::cgroup),

    entries<pb::file_lock_entry>(K::filelocks),
    entries<pb::remap_file_path_entry>(K::remap_fpath),
    {K::ghost_file, &of<pb::ghost_file_entry>, &of<pb::ghost_chunk_entry>, PayloadKind::ghost},
    entries<pb::memfd_inode_entry>(K::memfd),
    with_payload<pb::pipe_data_entry, pipe_payload>(K::pipes_data),
    with_payload<pb::pipe_data_entry, pipe_payload>(K::fifo_data),
    with_payload<pb::sk_packet_entry, packet_payload>(K::sk_queues),
    with_payload<pb::tcp_stream_entry, tcp_payload>(K::tcp_stream),
    entries<pb::tty_info_entry>(K::tty_info),
    entries<pb::tty_data_entry>(K::tty_data),
    entries<pb::bpfmap_file_entry>(K::bpfmap_file),
    with_payload<pb::bpfmap_data_entry, bpfmap_payload>(K::bpfmap_data),
    entries<pb::apparmor_entry>(K::apparmor),

    entries<pb::cpuinfo_entry>(K::cpuinfo),
    entries<pb::stats_entry>(K::stats_dump),
    entries<pb::stats_entry>(K::stats_restore),
    entries<pb::irmap_cache_entry>(K::irmap_cache),

    entries<pb::reg_file_entry>(K::reg_files),
    entries<pb::ext_file_entry>(K::ext_files),
    entries<pb::ns_file_entry>(K::ns_files),
    entries<pb::eventfd_file_entry>(K::eventfd),
    entries<pb::eventpoll_file_entry>(K::eventpoll),
    entries<pb::eventpoll_tfd_entry>(K::eventpoll_tfd),
    entries<pb::signalfd_entry>(K::signalfd),
    entries<pb::timerfd_entry>(K::timerfd),
    entries<pb::inotify_file_entry>(K::inotify),
    entries<pb::inotify_wd_entry>(K::inotify_wd),
    entries<pb::fanotify_file_entry>(K::fanotify),
    entries<pb::fanotify_mark_entry>(K::fanotify_mark),
    entries<pb::pipe_entry>(K::pipes),
    entries<pb::fifo_entry>(K::fifo),
    entries<pb::unix_sk_entry>(K::unixsk),
    entries<pb::inet_sk_entry>(K::inetsk),
    entries<pb::packet_sock_entry>(K::packetsk),
    entries<pb::netlink_sk_entry>(K::netlinksk),
    entries<pb::tty_file_entry>(K::tty),
    entries<pb::tunfile_entry>(K::tunfile),
    entries<pb::pidfd_entry>(K::pidfd),

    entries<pb::vma_entry>(K::vmas),
    entries<pb::sa_entry>(K::sigacts),
    entries<pb::creds_entry>(K::creds),
    entries<pb::siginfo_entry>(K::signal_shared),
    entries<pb::siginfo_entry>(K::signal_private),
    entries<pb::itimer_entry>(K::itimers),
    entries<pb::posix_timer_entry>(K::posix_timers),
    entries<pb::rlimit_entry>(K::rlimit),

    entries<pb::cryo_task_entry>(K::cryo),
};

// In pieces, so that a length from an image never becomes an allocation.
Result<void> visit_bytes(ImageCursor& cursor, uint64_t size, const ImageVisitor& visitor) {
  constexpr uint64_t kPiece = 256U << 10;
  if (size > cursor.remaining()) {
    return cursor.bad(
        fmt::format("{} bytes should follow, but there are {}", size, cursor.remaining()));
  }
  while (size > 0) {
    const std::string piece = TRY(cursor.take(std::min(size, kPiece)));
    TRY(visitor.bytes(piece));
    size -= piece.size();
  }
  return {};
}

Result<void> visit_messages(ImageCursor& cursor, const pb::ipc_msg_entry& queue,
                            const ImageVisitor& visitor) {
  pb::ipc_msg message;
  for (uint32_t i = 0; i < queue.qnum(); ++i) {
    const bool found = TRY(cursor.next(message));
    if (!found)
      return cursor.bad(
          fmt::format("{} messages should follow, but there are {}", queue.qnum(), i));
    TRY(visitor.message(message));
    TRY(visit_bytes(cursor, padded(message.msize(), 8), visitor));
  }
  return {};
}

// A ghost in chunks: the entries after the first are of another type and have payloads.
Result<void> visit_payload(ImageCursor& cursor, const ImageSchema& schema, const MessageLite& entry,
                           bool first, const ImageVisitor& visitor) {
  switch (schema.payload) {
    case PayloadKind::none:
      return {};
    case PayloadKind::sized:
      return visit_bytes(cursor, schema.payload_size(entry), visitor);
    case PayloadKind::messages:
      return visit_messages(cursor, static_cast<const pb::ipc_msg_entry&>(entry), visitor);
    case PayloadKind::ghost:
      break;
  }
  if (!first)
    return visit_bytes(cursor, static_cast<const pb::ghost_chunk_entry&>(entry).len(), visitor);
  if (static_cast<const pb::ghost_file_entry&>(entry).chunks()) return {};
  return visit_bytes(cursor, cursor.remaining(), visitor);
}

}  // namespace

const ImageSchema* schema_of(ImageKind kind) {
  const auto found = std::ranges::find(kSchemas, kind, &ImageSchema::kind);
  return found == std::end(kSchemas) ? nullptr : found;
}

Result<void> visit_image(ImageCursor cursor, const ImageVisitor& visitor) {
  const ImageSchema* schema = schema_of(cursor.name().kind);
  if (schema == nullptr) return visit_bytes(cursor, cursor.remaining(), visitor);
  std::unique_ptr<MessageLite> entry(schema->first().New());
  bool first = true;
  while (true) {
    const bool found = TRY(cursor.next(*entry));
    if (!found) return {};
    TRY(visitor.message(*entry));
    TRY(visit_payload(cursor, *schema, *entry, first, visitor));
    if (first && schema->first != schema->rest) entry.reset(schema->rest().New());
    first = false;
  }
}

}  // namespace cryo
