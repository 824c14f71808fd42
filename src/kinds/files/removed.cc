#include "kinds/files/removed.h"

#include <sys/sysmacros.h>

#include <map>

#include "fdinfo.pb.h"
#include "ghost-file.pb.h"
#include "remap-file-path.pb.h"
#include "sys/file.h"

namespace cryo {
namespace {

constexpr uint64_t kFirstWithChunks = 3 * 4096;
constexpr int kMostLinkNames = 100;

using Inode = std::pair<dev_t, ino_t>;

struct Ghosts {
  std::map<Inode, uint32_t> numbers;
};

// The names given to files; taken away again unless the dump succeeds and the program ends with it.
struct Links {
  std::map<std::pair<Inode, std::string>, uint32_t>
      ids;  // by inode and lost name: of the link's entry
};

std::string where(const FdView& view) {
  return view.fd ? fmt::format("fd {}", *view.fd) : view.path;
}

// The kernel's encoding, which is not that of struct stat.
uint32_t device_number(dev_t device) {
  return static_cast<uint32_t>(major(device) << 20U | minor(device));
}

void set_time(const timespec& time, pb::timeval& out) {
  out.set_tv_sec(static_cast<uint64_t>(time.tv_sec));
  out.set_tv_usec(static_cast<uint64_t>(time.tv_nsec) / 1000);
}

Result<void> copy(FdRef from, FdRef to, uint64_t offset, uint64_t size) {
  while (size > 0) {
    const size_t part = TRY(sys::sendfile(to, from, &offset, size));
    if (part == 0) return Error::of(ErrorKind::os, "the file became shorter while it was copied");
    size -= part;
  }
  return {};
}

Result<void> write_chunks(FdRef file, FdRef out, uint64_t size) {
  uint64_t at = 0;
  while (at < size) {
    const std::optional<uint64_t> data = TRY(sys::seek_data(file, at));
    if (!data || *data >= size) return {};
    const std::optional<uint64_t> hole = TRY(sys::seek_hole(file, *data));
    at = std::min(hole.value_or(size), size);
    pb::ghost_chunk_entry chunk;
    chunk.set_off(*data);
    chunk.set_len(at - *data);
    std::string bytes;
    TRY(encode_entry(chunk, bytes));
    TRY(sys::write_all(out, bytes));
    TRY(copy(file, out, *data, at - *data));
  }
  return {};
}

Result<void> write_ghost(const TaskView& task, const FdView& view, uint32_t number) {
  const struct stat& st = view.st;
  pb::ghost_file_entry ghost;
  ghost.set_uid(st.st_uid);
  ghost.set_gid(st.st_gid);
  ghost.set_mode(st.st_mode);
  ghost.set_dev(device_number(st.st_dev));
  ghost.set_ino(st.st_ino);
  set_time(st.st_atim, *ghost.mutable_atim());
  set_time(st.st_mtim, *ghost.mutable_mtim());
  if (S_ISCHR(st.st_mode)) ghost.set_rdev(static_cast<uint32_t>(st.st_rdev));
  if (S_ISLNK(st.st_mode)) {
    const Fd link = TRY(view.reopen(O_PATH));
    ghost.set_symlnk_target(TRY(sys::readlinkat(link, "")));
  }
  const uint64_t size = static_cast<uint64_t>(st.st_size);
  const bool chunks = S_ISREG(st.st_mode) && size >= kFirstWithChunks;
  if (chunks) {
    ghost.set_chunks(true);
    ghost.set_size(size);
  }
  const ImageName name{ImageKind::ghost_file, number};
  TRY(task.capture.images.append(name, ghost));
  if (!S_ISREG(st.st_mode) || size == 0) return {};
  const Fd file = TRY(view.reopen(O_RDONLY | O_NOATIME));
  const Fd out = TRY(task.capture.images.open_raw(name));
  return chunks ? write_chunks(file, out, size) : copy(file, out, 0, size);
}

Result<void> add_remap(const TaskView& task, uint32_t file, uint32_t remap, pb::remap_type type) {
  pb::remap_file_path_entry entry;
  entry.set_orig_id(file);
  entry.set_remap_id(remap);
  entry.set_remap_type(type);
  return task.capture.images.append({ImageKind::remap_fpath}, entry);
}

Result<std::string> give_name(const TaskView& task, const FdView& view, const std::string& lost,
                              uint32_t id) {
  const std::string directory = lost.substr(0, lost.rfind('/') + 1);
  for (int attempt = 0;; ++attempt) {
    const std::string name = fmt::format("{}link_remap.{}{}", directory, id,
                                         attempt == 0 ? "" : fmt::format(".{}", attempt));
    Result<void> linked = sys::linkat(view.proc, view.path, sys::cwd(), name, AT_SYMLINK_FOLLOW);
    if (linked) {
      task.capture.undo.add([name] { (void)sys::unlinkat(sys::cwd(), name); });
      return name;
    }
    if (linked.error().code() != EEXIST || attempt == kMostLinkNames)
      return std::move(linked).error();
  }
}

Result<void> capture_linked(const TaskView& task, const FdView& view, const Location& location,
                            const pb::reg_file_entry& reg) {
  Links& links = task.capture.shelf.get<Links>();
  uint32_t& id = links.ids[{{view.st.st_dev, view.st.st_ino}, location.name}];
  if (id == 0) {
    pb::file_entry& entry = task.capture.files.new_entry(task.capture, pb::REG);
    id = entry.id();
    *entry.mutable_reg() = reg;
    entry.mutable_reg()->set_id(id);
    entry.mutable_reg()->set_flags(O_RDONLY);
    entry.mutable_reg()->set_pos(0);
    entry.mutable_reg()->set_name(TRY(give_name(task, view, location.name, id)));
  }
  return add_remap(task, reg.id(), id, pb::LINKED);
}

}  // namespace

Result<void> examine_removed(const TaskView& task, const FdView& view, const Location& location) {
  const DumpOptions& options = task.capture.options;
  if (location.kind == Location::Kind::unlinked) {
    if (!options.link_remap)
      task.block(where(view),
                 fmt::format("is open as {}, a name that was removed; the file has {} other names",
                             location.name, view.st.st_nlink),
                 "with --link-remap it gets a temporary name beside the old one");
    return {};
  }
  const uint64_t bytes = static_cast<uint64_t>(view.st.st_blocks) * 512;
  if (S_ISREG(view.st.st_mode) && bytes > options.ghost_limit)
    task.block(
        where(view),
        fmt::format("is a removed file with {} bytes of contents, more than the limit of {} ({})",
                    bytes, options.ghost_limit, location.name),
        fmt::format("use --ghost-limit {}", bytes));
  return {};
}

Result<void> capture_removed(const TaskView& task, const FdView& view, const Location& location,
                             const pb::reg_file_entry& reg) {
  if (location.kind == Location::Kind::unlinked) return capture_linked(task, view, location, reg);
  Ghosts& ghosts = task.capture.shelf.get<Ghosts>();
  const auto [known, is_new] =
      ghosts.numbers.emplace(Inode(view.st.st_dev, view.st.st_ino), ghosts.numbers.size() + 1);
  if (is_new)
    TRY_IN(write_ghost(task, view, known->second), "copying the removed file {}", location.name);
  return add_remap(task, reg.id(), known->second, pb::GHOST);
}

}  // namespace cryo
