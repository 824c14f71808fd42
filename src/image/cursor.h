// ImageCursor: reads one image file from front to back: head, entries, and what follows entries.
//
// Images are untrusted. Every length is held against the size of the file before memory is taken
// for it, and nothing is read through a map, which a file that shrinks would turn into SIGBUS.
// Errors are bad_image and name file and entry.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "image/magic.h"

namespace google::protobuf {
class MessageLite;
}

namespace cryo {

// The values of inventory_entry.img_version. Version 1 has no IMG_COMMON and IMG_SERVICE.
constexpr uint32_t kImagesV1 = 1;
constexpr uint32_t kImagesV1_1 = 2;

// Longest message, and longest payload that take() gives as one string.
constexpr uint64_t kMaxEntry = 64U << 20;

// Parses `bytes` and checks that all required fields are there.
Result<void> decode(std::string_view bytes, google::protobuf::MessageLite& out);

class ImageCursor {
 public:
  // A part of the file, to be copied from fd() without coming through the cursor.
  struct Extent {
    uint64_t offset = 0;
    uint64_t size = 0;
  };

  // Reads the head. `fd` must be a regular file.
  static Result<ImageCursor> open(Fd fd, ImageName name, uint32_t version);
  // The same over the contents of a file.
  static Result<ImageCursor> over(std::string contents, ImageName name, uint32_t version);

  // The next entry; false at the end of the file. What `out` held before is cleared.
  Result<bool> next(google::protobuf::MessageLite& out);
  // The raw bytes that follow an entry.
  Result<std::string> take(uint64_t size);
  Result<Extent> extent(uint64_t size);
  Result<Extent> extent_to_end() { return extent(remaining()); }
  Result<void> skip(uint64_t size);

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return size_ - offset_; }
  FdRef fd() const { return FdRef(fd_); }
  const ImageName& name() const { return name_; }
  // An error about the entry that was read last: "core-5.img, entry 0: ...".
  Error bad(std::string_view why, const char* file = __builtin_FILE(),
            int line = __builtin_LINE()) const;

 private:
  ImageCursor(Fd fd, std::string window, uint64_t size, ImageName name);
  Result<void> read_head(uint32_t version);
  Result<uint32_t> word(const char* what);
  // `size` bytes from offset_ on, which becomes the byte after them; valid until the next call.
  Result<std::string_view> view(uint64_t size);

  Fd fd_;               // none when the window is the whole file
  std::string window_;  // bytes of the file from window_at_ on
  uint64_t window_at_ = 0;
  uint64_t offset_ = 0;
  uint64_t size_ = 0;
  uint64_t entries_ = 0;  // read so far
  ImageName name_;
};

}  // namespace cryo
