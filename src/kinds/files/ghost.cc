// Makes files without a name again. A removed file needs its old name for a moment, because /proc shows the name
// under which a file was opened; if another file has that name now, it stays untouched and we take a name beside it.
#include "ghost-file.pb.h"

#include <sys/sysmacros.h>

#include <map>

#include "fdinfo.pb.h"
#include "kinds/files/regular.h"
#include "kinds/files/removed.h"
#include "remap-file-path.pb.h"
#include "sys/file.h"

namespace cryo {
namespace {

constexpr uint32_t kOldGhostBit = 1U << 31U;
constexpr unsigned kMemoryDevices = 1;
constexpr std::string_view kLinkPrefix = "link_remap.";

struct Remaps {
  bool loaded = false;
  std::map<uint32_t, pb::remap_file_path_entry> by_file;
  std::map<uint32_t, Fd> open;  // by file: with O_PATH, under the right name
};

std::string path_of(FdRef fd) { return fmt::format("/proc/self/fd/{}", fd.raw()); }

pb::remap_type type_of(const pb::remap_file_path_entry& remap) {
  if (remap.has_remap_type()) return remap.remap_type();
  return (remap.remap_id() & kOldGhostBit) != 0 ? pb::GHOST : pb::LINKED;
}

Result<void> load(Remaps& remaps, const ImageReader& images) {
  if (remaps.loaded) return {};
  const std::vector<pb::remap_file_path_entry> all =
      TRY(images.records<pb::remap_file_path_entry>({ImageKind::remap_fpath}));
  for (const pb::remap_file_path_entry& remap : all) remaps.by_file[remap.orig_id()] = remap;
  remaps.loaded = true;
  return {};
}

// A name that exists for a moment.
class Moment {
 public:
  Moment(FdRef directory, std::string name, int flags = 0)
      : directory_(directory), name_(std::move(name)), flags_(flags) {}
  Moment(Moment&& other) noexcept
      : directory_(other.directory_), name_(std::move(other.name_)), flags_(other.flags_) {
    other.name_.clear();
  }
  Moment& operator=(Moment&&) = delete;
  ~Moment() {
    if (!name_.empty()) (void)sys::unlinkat(directory_, name_, flags_);
  }
  const std::string& name() const { return name_; }

 private:
  FdRef directory_;
  std::string name_;
  int flags_;
};

// The directory that a lost name was in. What is missing of its path exists until this is gone.
class Directory {
 public:
  static Result<Directory> of(const Restore& restore, const std::string& file) {
    Directory directory;
    const size_t last = file.rfind('/');
    directory.base_ = file.substr(last + 1);
    directory.made_.reserve(64);
    for (size_t end = 0;;) {
      Fd next = TRY(directory.step(restore, file.substr(0, std::max<size_t>(end, 1))));
      directory.path_.push_back(std::move(next));
      if (end == last) break;
      end = std::min(file.find('/', end + 1), last);
    }
    return directory;
  }
  Directory(Directory&&) = default;
  Directory& operator=(Directory&&) = delete;
  ~Directory() {
    while (!made_.empty()) made_.pop_back();  // the innermost first
  }
  FdRef fd() const { return FdRef(path_.back()); }
  const std::string& base() const { return base_; }

 private:
  Directory() = default;
  Result<Fd> step(const Restore& restore, const std::string& path) {
    Result<Fd> fd = open_below_root(restore, path, O_PATH | O_DIRECTORY);
    if (fd || fd.error().code() != ENOENT || path_.empty()) return fd;
    const std::string name = path.substr(path.rfind('/') + 1);
    TRY(sys::mkdirat(path_.back(), name, 0700));
    made_.emplace_back(FdRef(path_.back()), name, AT_REMOVEDIR);
    return open_below_root(restore, path, O_PATH | O_DIRECTORY);
  }
  std::vector<Fd> path_;  // all of them, because removing a directory needs its parent
  std::vector<Moment> made_;
  std::string base_;
};

// The name itself, or one beside it.
std::string other_name(const std::string& base, uint32_t number) {
  return fmt::format("{}.cr.{:x}.ghost", base, number);
}

// Calls `make` with the old name, and if that is taken with another one; opens what it made.
template <class Make>
Result<Fd> for_a_moment(const Directory& directory, uint32_t number, int unlink_flags,
                        std::vector<Moment>& moments, Make make) {
  std::string name = directory.base();
  Result<void> made = make(directory.fd(), name);
  if (!made && made.error().code() == EEXIST) {
    name = other_name(name, number);
    made = make(directory.fd(), name);
  }
  TRY(std::move(made));
  moments.emplace_back(directory.fd(), name, unlink_flags);
  return sys::openat(directory.fd(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

Result<void> read_chunks(ImageCursor& cursor, FdRef file, uint64_t size) {
  TRY(sys::ftruncate(file, size));
  pb::ghost_chunk_entry chunk;
  while (TRY(cursor.next(chunk))) {
    if (chunk.off() > size || chunk.len() > size - chunk.off())
      return cursor.bad("a chunk beyond the end of the file");
    const ImageCursor::Extent extent = TRY(cursor.extent(chunk.len()));
    uint64_t from = extent.offset;
    uint64_t left = extent.size;
    TRY(sys::lseek(file, static_cast<int64_t>(chunk.off()), SEEK_SET));
    while (left > 0) {
      const size_t part = TRY(sys::sendfile(file, cursor.fd(), &from, left));
      if (part == 0) return cursor.bad("it ends too early");
      left -= part;
    }
  }
  return {};
}

Result<void> read_contents(ImageCursor& cursor, const pb::ghost_file_entry& ghost, FdRef file) {
  if (ghost.chunks()) return read_chunks(cursor, file, ghost.size());
  const ImageCursor::Extent extent = TRY(cursor.extent_to_end());
  uint64_t from = extent.offset;
  uint64_t left = extent.size;
  while (left > 0) {
    const size_t part = TRY(sys::sendfile(file, cursor.fd(), &from, left));
    if (part == 0) return cursor.bad("it ends too early");
    left -= part;
  }
  return {};
}

// `path` is a magic link to the new inode.
Result<void> set_attributes(const pb::ghost_file_entry& ghost, const std::string& path) {
  TRY(sys::fchownat(sys::cwd(), path, ghost.uid(), ghost.gid(), 0));
  if (!S_ISLNK(ghost.mode())) TRY(sys::fchmodat(sys::cwd(), path, ghost.mode() & 07777));
  if (!ghost.has_atim() || !ghost.has_mtim()) return {};
  const auto time = [](const pb::timeval& from) {
    return timespec{static_cast<time_t>(from.tv_sec()), static_cast<long>(from.tv_usec() * 1000)};
  };
  return sys::utimensat(sys::cwd(), path.c_str(), time(ghost.atim()), time(ghost.mtim()));
}

// The entries that share a removed inode, each with the name it had.
std::vector<const pb::reg_file_entry*> sharing(const Restore& restore, const Remaps& remaps,
                                               const pb::remap_file_path_entry& remap) {
  std::vector<const pb::reg_file_entry*> all;
  for (const auto& [id, other] : remaps.by_file) {
    if (type_of(other) != type_of(remap) || other.remap_id() != remap.remap_id()) continue;
    const auto found = restore.snapshot.files.find(FileId{id});
    if (found != restore.snapshot.files.end() && found->second.has_reg() &&
        found->second.reg().name().starts_with('/'))
      all.push_back(&found->second.reg());
  }
  return all;
}

// The first user of the same name that is open already.
const pb::reg_file_entry* same_name(const std::vector<const pb::reg_file_entry*>& users,
                                    size_t until) {
  for (size_t i = 0; i < until; ++i)
    if (users[i]->name() == users[until]->name()) return users[i];
  return nullptr;
}

// Gives the inode all the names of its users at once, because a file that has lost its last name cannot get another;
// opens it under each.
Result<void> open_all(const Restore& restore, Remaps& remaps,
                      const std::vector<const pb::reg_file_entry*>& users, uint32_t number,
                      FdRef inode) {
  std::vector<Directory> directories;
  directories.reserve(users.size());
  std::vector<Moment> moments;
  for (size_t i = 0; i < users.size(); ++i) {
    const pb::reg_file_entry* twin = same_name(users, i);
    if (twin != nullptr) {
      remaps.open[users[i]->id()] = TRY(sys::dup(remaps.open[twin->id()]));
      continue;
    }
    Directory place = TRY(Directory::of(restore, users[i]->name()));
    directories.push_back(std::move(place));
    const auto link = [&](FdRef directory, const std::string& name) {
      return sys::linkat(sys::cwd(), path_of(inode), directory, name, AT_SYMLINK_FOLLOW);
    };
    remaps.open[users[i]->id()] = TRY(for_a_moment(directories.back(), number, 0, moments, link));
  }
  return {};
}

Result<void> make_regular(const Restore& restore, Remaps& remaps,
                          const std::vector<const pb::reg_file_entry*>& users, uint32_t number,
                          const pb::ghost_file_entry& ghost, ImageCursor& cursor) {
  const Directory directory = TRY(Directory::of(restore, users.front()->name()));
  const Fd file = TRY(sys::openat(directory.fd(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  TRY(read_contents(cursor, ghost, file));
  TRY(open_all(restore, remaps, users, number, file));
  return set_attributes(ghost, path_of(file));
}

Result<void> make_other(const Restore& restore, Remaps& remaps, const pb::reg_file_entry& user,
                        uint32_t number, const pb::ghost_file_entry& ghost) {
  const mode_t type = ghost.mode() & S_IFMT;
  const bool memory_device = type == S_IFCHR && major(ghost.rdev()) == kMemoryDevices;
  if (type != S_IFDIR && type != S_IFLNK && type != S_IFIFO && !memory_device)
    return Error::unsupported(fmt::format(
        "{} was a removed file of type {:o}, which cannot be restored", user.name(), type));
  const Directory directory = TRY(Directory::of(restore, user.name()));
  const auto make = [&](FdRef where, const std::string& name) {
    if (type == S_IFDIR) return sys::mkdirat(where, name, 0700);
    if (type == S_IFLNK) return sys::symlinkat(ghost.symlnk_target(), where, name);
    return sys::mknodat(where, name, type | 0600, ghost.rdev());
  };
  std::vector<Moment> moments;
  Fd file = TRY(for_a_moment(directory, number, type == S_IFDIR ? AT_REMOVEDIR : 0, moments, make));
  if (type != S_IFLNK) TRY(set_attributes(ghost, path_of(file)));
  remaps.open[user.id()] = std::move(file);
  return {};
}

Result<void> make_ghost(const FileRestore& file, Remaps& remaps,
                        const pb::remap_file_path_entry& remap) {
  const uint32_t number = remap.remap_id() & ~kOldGhostBit;
  const ImageName name{ImageKind::ghost_file, number};
  std::optional<ImageCursor> cursor = TRY(file.restore.images.find(name));
  if (!cursor) return Error::bad_image(fmt::format("{} is missing", name.file()));
  pb::ghost_file_entry ghost;
  const bool found = TRY(cursor->next(ghost));
  if (!found) return cursor->bad("no entry");
  const std::vector<const pb::reg_file_entry*> users = sharing(file.restore, remaps, remap);
  if (S_ISREG(ghost.mode()))
    return make_regular(file.restore, remaps, users, number, ghost, *cursor);
  for (const pb::reg_file_entry* user : users) {
    // A directory had one name only: whoever has it open shares it.
    if (user == users.front())
      TRY(make_other(file.restore, remaps, *user, number, ghost));
    else
      remaps.open[user->id()] = TRY(sys::dup(remaps.open[users.front()->id()]));
  }
  return {};
}

// A file that never had a name (O_TMPFILE) can still get one; that needs a file made the same way.
Result<std::optional<Fd>> make_nameless(const FileRestore& file, const Remaps& remaps,
                                        const pb::remap_file_path_entry& remap,
                                        const pb::reg_file_entry& reg, int flags) {
  const bool nameless = (reg.flags() & uint32_t{O_TMPFILE}) == uint32_t{O_TMPFILE} &&
                        (reg.flags() & O_ACCMODE) != O_RDONLY;
  if (!nameless || file.open_flags || sharing(file.restore, remaps, remap).size() != 1)
    return std::optional<Fd>();
  const ImageName name{ImageKind::ghost_file, remap.remap_id() & ~kOldGhostBit};
  std::optional<ImageCursor> cursor = TRY(file.restore.images.find(name));
  pb::ghost_file_entry ghost;
  if (!cursor) return Error::bad_image(fmt::format("{} is missing", name.file()));
  const bool found = TRY(cursor->next(ghost));
  if (!found) return cursor->bad("no entry");
  const Directory directory = TRY(Directory::of(file.restore, reg.name()));
  Fd made = TRY(sys::openat(directory.fd(), ".", O_TMPFILE | flags, 0600));
  TRY(read_contents(*cursor, ghost, made));
  TRY(set_attributes(ghost, path_of(made)));
  TRY(sys::lseek(made, 0, SEEK_SET));
  return std::optional(std::move(made));
}

// The name that the dump made. Anything else in its place is not ours to remove.
Result<void> check_link(const pb::reg_file_entry& link) {
  const std::string_view name = link.name();
  const bool ours =
      name.starts_with('/') && name.substr(name.rfind('/') + 1).starts_with(kLinkPrefix);
  if (!ours)
    return Error::bad_image(fmt::format("remap-fpath: '{}' is no name that a dump makes", name));
  return {};
}

Result<void> make_linked(const FileRestore& file, Remaps& remaps,
                         const pb::remap_file_path_entry& remap) {
  Restore& restore = file.restore;
  const auto entry = restore.snapshot.files.find(FileId{remap.remap_id()});
  if (entry == restore.snapshot.files.end() || !entry->second.has_reg())
    return Error::bad_image(fmt::format("remap-fpath: there is no file {}", remap.remap_id()));
  const pb::reg_file_entry& link = entry->second.reg();
  TRY(check_link(link));
  const Fd inode = TRY_IN(open_below_root(restore, link.name(), O_PATH | O_NOFOLLOW),
                          "looking for the link that the dump made");
  const struct stat st = TRY(sys::fstat(inode));
  TRY(validate_file(restore, inode, st, link));
  TRY(open_all(restore, remaps, sharing(restore, remaps, remap), remap.remap_id(), inode));
  const std::string name = link.name();
  restore.finally.emplace_back([&restore, name]() -> Result<void> {
    const size_t last = name.rfind('/');
    const Fd directory = TRY(
        open_below_root(restore, name.substr(0, std::max<size_t>(last, 1)), O_PATH | O_DIRECTORY));
    return sys::unlinkat(directory, name.substr(last + 1));
  });
  return {};
}

}  // namespace

Result<std::optional<Fd>> open_removed(const FileRestore& file, const pb::reg_file_entry& reg,
                                       int flags) {
  Remaps& remaps = file.restore.shelf.get<Remaps>();
  TRY(load(remaps, file.restore.images));
  const auto found = remaps.by_file.find(reg.id());
  if (found == remaps.by_file.end()) return std::optional<Fd>();
  const pb::remap_type type = type_of(found->second);
  if (type == pb::GHOST) {
    std::optional<Fd> nameless = TRY(make_nameless(file, remaps, found->second, reg, flags));
    if (nameless) return nameless;
  }
  if (remaps.open.find(reg.id()) == remaps.open.end()) {
    if (type == pb::GHOST)
      TRY_IN(make_ghost(file, remaps, found->second), "making the removed file {}", reg.name());
    else if (type == pb::LINKED)
      TRY_IN(make_linked(file, remaps, found->second), "opening {}, which lost this name",
             reg.name());
    else
      return Error::unsupported(fmt::format(
          "{} is about a process that is gone, which cannot be restored yet", reg.name()));
  }
  // The descriptor's link is followed, whatever the file's own flags are.
  return std::optional(
      TRY(sys::open(path_of(remaps.open.at(reg.id())), (flags & ~O_NOFOLLOW) | O_CLOEXEC)));
}

}  // namespace cryo
