#include <fmt/format.h>

#include <cerrno>

#include "image/store.h"
#include "inventory.pb.h"
#include "sys/file.h"

namespace cryo {
namespace {

// O_NOFOLLOW: a link in a foreign directory may lead anywhere. O_NONBLOCK: a fifo must not block.
Result<std::optional<Fd>> open_image(FdRef dir, const std::string& file) {
  Result<Fd> fd = sys::openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd) return std::optional<Fd>(std::move(fd).value());
  if (fd.error().code() == ENOENT) return std::optional<Fd>();
  if (fd.error().code() == ELOOP) return Error::bad_image(fmt::format("{}: a symbolic link", file));
  return std::move(fd).error();
}

Result<std::optional<pb::inventory_entry>> read_inventory(FdRef dir) {
  const ImageName name{ImageKind::inventory};
  std::optional<Fd> fd = TRY(open_image(dir, name.file()));
  std::optional<pb::inventory_entry> entry;
  if (!fd) return entry;
  ImageCursor cursor = TRY(ImageCursor::open(std::move(*fd), name, kImagesV1_1));
  const bool found = TRY(cursor.next(entry.emplace()));
  if (!found) return cursor.bad("has no entry");
  return entry;
}

}  // namespace

Result<ImageReader> ImageReader::open(Fd dir, Need need) {
  const std::optional<pb::inventory_entry> inventory = TRY(read_inventory(dir));
  if (!inventory) {
    if (need == Need::parts) return ImageReader(std::move(dir), kImagesV1_1);
    return missing({ImageKind::inventory})
        .hint("not a directory of images, or the dump did not finish");
  }
  const uint32_t version = inventory->img_version();
  if (version != kImagesV1 && version != kImagesV1_1) {
    return Error::bad_image(
        fmt::format("inventory.img: images of version {}, which is not supported", version));
  }
  return ImageReader(std::move(dir), version);
}

Error ImageReader::missing(ImageName name) {
  return Error::bad_image(fmt::format("{}: missing or empty", name.file()));
}

Result<pb::inventory_entry> ImageReader::inventory() const {
  std::optional<pb::inventory_entry> inventory = TRY(read_inventory(dir_));
  if (!inventory) return missing({ImageKind::inventory});
  return std::move(*inventory);
}

Result<std::optional<ImageCursor>> ImageReader::find(ImageName name) const {
  std::optional<Fd> fd = TRY(open_image(dir_, name.file()));
  if (!fd) return std::optional<ImageCursor>();
  return std::optional<ImageCursor>(TRY(ImageCursor::open(std::move(*fd), name, version_)));
}

Result<std::optional<Fd>> ImageReader::find_raw(ImageName name) const {
  std::optional<Fd> fd = TRY(open_image(dir_, name.file()));
  if (!fd) return fd;
  const struct stat st = TRY(sys::fstat(*fd));
  if (!S_ISREG(st.st_mode))
    return Error::bad_image(fmt::format("{}: not a regular file", name.file()));
  return fd;
}

Result<std::optional<ImageReader>> ImageReader::parent() const {
  Result<Fd> dir = sys::openat(dir_, "parent", O_RDONLY | O_DIRECTORY);
  if (!dir && dir.error().code() == ENOENT) return std::optional<ImageReader>();
  if (!dir) return std::move(dir).error();
  return std::optional<ImageReader>(
      TRY_IN(open(std::move(dir).value(), Need::parts), "reading the images in parent/"));
}

}  // namespace cryo
