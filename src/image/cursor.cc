#include "image/cursor.h"

#include <google/protobuf/message_lite.h>

#include <algorithm>
#include <cstring>

#include "sys/file.h"

namespace cryo {
namespace {

// Most images are smaller than this and come with one read.
constexpr uint64_t kWindow = 64U << 10;

}  // namespace

Result<void> decode(std::string_view bytes, google::protobuf::MessageLite& out) {
  if (bytes.size() > kMaxEntry)
    return Error::bad_image(fmt::format("a message of {} bytes", bytes.size()));
  if (!out.ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error::bad_image(fmt::format("not a {}: damaged", out.GetTypeName().substr(3)));
  }
  if (!out.IsInitialized()) {
    return Error::bad_image(
        fmt::format("a {} without all its required fields", out.GetTypeName().substr(3)));
  }
  return {};
}

ImageCursor::ImageCursor(Fd fd, std::string window, uint64_t size, ImageName name)
    : fd_(std::move(fd)), window_(std::move(window)), size_(size), name_(name) {}

Result<ImageCursor> ImageCursor::open(Fd fd, ImageName name, uint32_t version) {
  const struct stat st = TRY(sys::fstat(fd));
  if (!S_ISREG(st.st_mode))
    return Error::bad_image(fmt::format("{}: not a regular file", name.file()));
  ImageCursor cursor(std::move(fd), {}, static_cast<uint64_t>(st.st_size), name);
  TRY(cursor.read_head(version));
  return cursor;
}

Result<ImageCursor> ImageCursor::over(std::string contents, ImageName name, uint32_t version) {
  const uint64_t size = contents.size();
  ImageCursor cursor(Fd(), std::move(contents), size, name);
  TRY(cursor.read_head(version));
  return cursor;
}

Error ImageCursor::bad(std::string_view why, const char* file, int line) const {
  std::string where = name_.file();
  if (entries_ > 0) where += fmt::format(", entry {}", entries_ - 1);
  return Error::bad_image(fmt::format("{}: {}", where, why), file, line);
}

Result<std::string_view> ImageCursor::view(uint64_t size) {
  CHECK(size <= remaining());
  const bool inside = offset_ >= window_at_ && offset_ + size <= window_at_ + window_.size();
  if (!inside) {
    window_.resize(std::min(remaining(), std::max(size, kWindow)));
    window_at_ = offset_;
    TRY_IN(sys::pread_all(fd_, window_.data(), window_.size(), window_at_), "reading {}",
           name_.file());
  }
  const std::string_view found(window_.data() + (offset_ - window_at_), size);
  offset_ += size;
  return found;
}

Result<uint32_t> ImageCursor::word(const char* what) {
  uint32_t value = 0;
  if (remaining() < sizeof value) return bad(fmt::format("ends in the middle of {}", what));
  const std::string_view bytes = TRY(view(sizeof value));
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

Result<void> ImageCursor::read_head(uint32_t version) {
  const ImageFormat& format = format_of(name_.kind);
  if (format.framing == Framing::raw) return {};
  const bool outer = format.framing != Framing::inventory && version != kImagesV1;
  if (outer) {
    const uint32_t expected = format.framing == Framing::service ? kMagicService : kMagicCommon;
    const uint32_t magic = TRY(word("the magic"));
    if (magic != expected)
      return bad(fmt::format("starts with {:#x} instead of {:#x}", magic, expected));
  }
  const uint32_t magic = TRY(word("the magic"));
  if (magic != format.magic)
    return bad(fmt::format("has magic {:#x} instead of {:#x}", magic, format.magic));
  return {};
}

Result<bool> ImageCursor::next(google::protobuf::MessageLite& out) {
  out.Clear();
  if (remaining() == 0) return false;
  ++entries_;
  const uint32_t size = TRY(word("a length"));
  if (size > remaining())
    return bad(fmt::format("says {} bytes, but the file ends after {}", size, remaining()));
  if (size > kMaxEntry)
    return bad(fmt::format("says {} bytes, more than the limit of {}", size, kMaxEntry));
  const std::string_view bytes = TRY(view(size));
  const Result<void> decoded = decode(bytes, out);
  if (!decoded) return bad(decoded.error().message());
  return true;
}

Result<std::string> ImageCursor::take(uint64_t size) {
  if (size > remaining())
    return bad(fmt::format("{} bytes should follow, but there are {}", size, remaining()));
  if (size > kMaxEntry)
    return bad(fmt::format("{} bytes should follow, more than the limit of {}", size, kMaxEntry));
  return std::string(TRY(view(size)));
}

Result<ImageCursor::Extent> ImageCursor::extent(uint64_t size) {
  if (size > remaining())
    return bad(fmt::format("{} bytes should follow, but there are {}", size, remaining()));
  const Extent found{offset_, size};
  offset_ += size;
  return found;
}

Result<void> ImageCursor::skip(uint64_t size) {
  (void)TRY(extent(size));
  return {};
}

}  // namespace cryo
