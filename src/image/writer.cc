#include <fmt/format.h>
#include <google/protobuf/message_lite.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "image/store.h"
#include "sys/file.h"

namespace cryo {
namespace {

constexpr std::string_view kHidden = ".cryo-unfinished-";
constexpr mode_t kImageMode = 0644;
const char* const kParentLink = "parent";

const std::string& inventory_file() {
  static const std::string name = ImageName{ImageKind::inventory}.file();
  return name;
}

// What a new checkpoint replaces. `cpuinfo dump` may have been run before the dump for the same
// directory.
bool belongs_to_checkpoint(ImageName name) {
  return format_of(name.kind).framing != Framing::service && name.kind != ImageKind::cpuinfo;
}

bool is_errno(const Result<void>& result, int err) {
  return !result && result.error().code() == err;
}

// Hidden names are LOCK or LOCK.FILE, and LOCK has no further dot.
std::string lock_of(const std::string& hidden) { return hidden.substr(0, hidden.find('.', 1)); }

// A lock file that is gone or can be locked belongs to nobody any more. On a file system without
// locks it counts as held.
bool abandoned(FdRef dir, const std::string& lock) {
  const Result<Fd> fd = sys::openat(dir, lock, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) return fd.error().code() == ENOENT;
  return sys::flock(fd.value(), LOCK_EX | LOCK_NB).has_value();
}

// Failing here is no reason not to dump. Backwards, so that each lock file goes last.
void remove_leftovers(FdRef dir, const std::set<std::string>& hidden) {
  std::map<std::string, bool> answers;
  for (auto it = hidden.rbegin(); it != hidden.rend(); ++it) {
    const auto [answer, fresh] = answers.try_emplace(lock_of(*it));
    if (fresh) answer->second = abandoned(dir, answer->first);
    if (answer->second) (void)sys::unlinkat(dir, *it);
  }
}

}  // namespace

Result<void> encode_entry(const google::protobuf::MessageLite& message, std::string& out) {
  if (!message.IsInitialized()) {
    return Error::of(ErrorKind::bug, fmt::format("a {} without all its required fields",
                                                 message.GetTypeName().substr(3)));
  }
  const size_t size = message.ByteSizeLong();
  if (size > kMaxEntry) {
    return Error::unsupported(fmt::format("a {} of {} bytes, more than the limit of {}",
                                          message.GetTypeName().substr(3), size, kMaxEntry));
  }
  const auto length = static_cast<uint32_t>(size);
  out.append(reinterpret_cast<const char*>(&length), sizeof length);
  const size_t at = out.size();
  out.resize(at + size);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(out.data() + at));
  return {};
}

std::string image_head(ImageKind kind) {
  const ImageFormat& format = format_of(kind);
  std::string head;
  const auto add = [&](uint32_t word) {
    head.append(reinterpret_cast<const char*>(&word), sizeof word);
  };
  if (format.framing == Framing::raw) return head;
  if (format.framing == Framing::ordinary) add(kMagicCommon);
  if (format.framing == Framing::service) add(kMagicService);
  add(format.magic);
  return head;
}

Result<ImageWriter> ImageWriter::open(FdRef dir, Mode mode) {
  // A descriptor of our own: the caller's may be only O_PATH, or go away.
  ImageWriter writer(TRY(sys::openat(dir, ".", O_RDONLY | O_DIRECTORY)), mode);
  // Said now, and not when a process has been frozen for it.
  Result<void> writable = sys::faccessat(writer.dir_, ".", W_OK | X_OK, AT_EACCESS);
  if (!writable)
    return std::move(writable)
        .error()
        .during("looking whether the images directory takes images")
        .hint("choose a directory that this user may write to (-D)");
  TRY(writer.look_around());
  return writer;
}

ImageWriter::~ImageWriter() {
  if (dir_) discard();
}

Result<void> ImageWriter::look_around() {
  const std::vector<sys::DirEntry> entries = TRY(sys::list_directory(dir_, "."));
  std::set<std::string> hidden;
  bool images = false;
  for (const sys::DirEntry& entry : entries) {
    if (entry.name.starts_with(kHidden)) hidden.insert(entry.name);
    const std::optional<ImageName> name = parse_image_name(entry.name);
    images = images || name.has_value();
    if (name && belongs_to_checkpoint(*name)) old_.emplace(entry.name, entry.inode);
  }
  remove_leftovers(dir_, hidden);
  // Parts are never written in place: a dump that starts at the same time would take them for old.
  in_place_ = mode_ == Mode::checkpoint && !images;
  prefix_ = fmt::format("{}{}-0", kHidden, ::getpid());
  return {};
}

Result<void> ImageWriter::lock() {
  for (unsigned attempt = 0;; ++attempt) {
    prefix_ = fmt::format("{}{}-{}", kHidden, ::getpid(), attempt);
    Result<Fd> fd = sys::openat(dir_, prefix_, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (!fd && fd.error().code() == EEXIST && attempt < 1000) continue;
    if (!fd) return std::move(fd).error();
    // Some network file systems have no locks. Without one, others cannot lock it either and leave
    // the files alone.
    (void)sys::flock(fd.value(), LOCK_EX | LOCK_NB);
    const struct stat st = TRY(sys::fstat(fd.value()));
    if (st.st_nlink == 0) continue;  // taken for abandoned before it was locked
    lock_ = std::move(fd).value();
    return {};
  }
}

std::string& ImageWriter::buffer(ImageName name) {
  const auto [it, fresh] = buffers_.try_emplace(name);
  if (fresh) it->second = image_head(name.kind);
  return it->second;
}

Result<void> ImageWriter::append(ImageName name, const google::protobuf::MessageLite& message) {
  CHECK(!staged_.contains(name.file()));
  TRY_IN(encode_entry(message, buffer(name)), "writing {}", name.file());
  return {};
}

Result<void> ImageWriter::append_raw(ImageName name, std::string_view bytes) {
  CHECK(!staged_.contains(name.file()));
  buffer(name).append(bytes);
  return {};
}

// inventory.img has a hidden name in any case: it must not be seen half written.
std::string ImageWriter::staged_as(const std::string& file) const {
  const bool hidden = !in_place_ || file == inventory_file();
  return hidden ? fmt::format("{}.{}", prefix_, file) : file;
}

Result<Fd> ImageWriter::stage_file(const std::string& file) {
  if (!in_place_ && !lock_) TRY(lock());
  Fd fd =
      TRY(sys::openat(dir_, staged_as(file), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, kImageMode));
  staged_.insert(file);
  return fd;
}

Result<Fd> ImageWriter::open_raw(ImageName name) {
  const std::string file = name.file();
  Fd fd = TRY(stage_file(file));
  TRY_IN(sys::write_all(fd, buffer(name)), "writing {}", file);
  buffers_.erase(name);
  return fd;
}

Result<void> ImageWriter::stage_buffers() {
  while (!buffers_.empty()) {
    const std::string file = buffers_.begin()->first.file();
    const Fd fd = TRY(stage_file(file));
    TRY_IN(sys::write_all(fd, buffers_.begin()->second), "writing {}", file);
    buffers_.erase(buffers_.begin());
  }
  return {};
}

// inventory.img goes first: from here on the directory is no checkpoint.
Result<void> ImageWriter::remove_old() {
  Result<void> removed = sys::unlinkat(dir_, inventory_file());
  if (!removed && !is_errno(removed, ENOENT)) return std::move(removed).error();
  for (const auto& [file, inode] : old_) {
    if (file == inventory_file() || staged_.contains(file)) continue;
    // A file of the same name that came since is not old: the page server writes here too.
    const Result<struct stat> st = sys::fstatat(dir_, file);
    if (st && st.value().st_ino == inode) TRY(sys::unlinkat(dir_, file));
  }
  return {};
}

Result<void> ImageWriter::publish(const std::string& file) {
  const std::string staged = staged_as(file);
  if (staged != file) {
    // Not left to the rename: ext4 writes the data of a file out at once (auto_da_alloc) when it takes
    // the place of another, which was measured at 4 ms a file.
    if (old_.contains(file)) (void)sys::unlinkat(dir_, file);
    TRY(sys::renameat2(dir_, staged, dir_, file));
  }
  published_.insert(file);
  return {};
}

Result<void> ImageWriter::publish_parent() {
  if (!parent_) return {};
  Result<void> removed = sys::unlinkat(dir_, kParentLink);
  if (!removed && !is_errno(removed, ENOENT)) return std::move(removed).error();
  return sys::symlinkat(*parent_, dir_, kParentLink);
}

Result<void> ImageWriter::commit() && {
  TRY(stage_buffers());
  CHECK(staged_.contains(inventory_file()) == (mode_ == Mode::checkpoint));
  if (mode_ == Mode::checkpoint && !in_place_) TRY(remove_old());
  TRY(publish_parent());
  for (const std::string& file : staged_) {
    if (file != inventory_file()) TRY(publish(file));
  }
  if (mode_ == Mode::checkpoint) TRY(publish(inventory_file()));
  if (lock_) (void)sys::unlinkat(dir_, prefix_);
  lock_.reset();
  dir_.reset();
  return {};
}

void ImageWriter::discard() {
  for (const std::string& file : staged_) {
    (void)sys::unlinkat(dir_, published_.contains(file) ? file : staged_as(file));
  }
  if (lock_) (void)sys::unlinkat(dir_, prefix_);
}

Result<void> write_service_image(FdRef dir, ImageKind kind,
                                 const google::protobuf::MessageLite& message) {
  CHECK(format_of(kind).framing == Framing::service);
  const std::string file = ImageName{kind}.file();
  std::string bytes = image_head(kind);
  TRY_IN(encode_entry(message, bytes), "writing {}", file);
  const Fd fd = TRY(sys::openat(dir, file, O_WRONLY | O_CREAT | O_TRUNC, kImageMode));
  TRY_IN(sys::write_all(fd, bytes), "writing {}", file);
  return {};
}

}  // namespace cryo
