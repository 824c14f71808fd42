// Feeds bytes as every kind of image to the reader and to what checks contents. The first byte
// chooses the kind, the second the version of the format.
#include <cstdint>
#include <string>

#include "image/pagemap.h"
#include "image/schema.h"

namespace cryo {
namespace {

void read_image(const ImageName& name, uint32_t version, const std::string& contents) {
  Result<ImageCursor> cursor = ImageCursor::over(contents, name, version);
  if (!cursor) return;
  std::string again =
      version == kImagesV1 ? image_head(name.kind).substr(4) : image_head(name.kind);
  const ImageVisitor visitor{
      [&](const google::protobuf::MessageLite& message) { return encode_entry(message, again); },
      [&](std::string_view bytes) {
        again.append(bytes);
        return Result<void>();
      },
  };
  const Result<void> visited = visit_image(std::move(cursor).value(), visitor);
  // Not the same bytes: numbers may be longer than needed. But what was accepted can be written.
  if (visited) CHECK(!again.empty() || contents.empty());
}

void read_pages(const ImageName& name, uint32_t version, const std::string& contents) {
  Result<ImageCursor> cursor = ImageCursor::over(contents, name, version);
  if (!cursor) return;
  const Result<Pagemap> map = read_pagemap(std::move(cursor).value());
  if (!map) return;
  PagemapWriter writer(name, map.value().pages_id);
  for (const Pagemap::Run& run : map.value().runs) writer.add(run);
  CHECK(writer.pages_size() == map.value().pages_size);
}

}  // namespace
}  // namespace cryo

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cryo;
  if (size < 2) return 0;
  const ImageName name{static_cast<ImageKind>(data[0] % kImageKinds), 1};
  if (format_of(name.kind).framing == Framing::raw) return 0;
  const bool old = data[1] % 2 != 0 && format_of(name.kind).framing != Framing::inventory;
  const uint32_t version = old ? kImagesV1 : kImagesV1_1;
  // The magics are put in front: guessing them is no test.
  const std::string head = old ? image_head(name.kind).substr(4) : image_head(name.kind);
  const std::string contents =
      head + std::string(reinterpret_cast<const char*>(data + 2), size - 2);
  read_image(name, version, contents);
  if (name.kind == ImageKind::pagemap || name.kind == ImageKind::pagemap_shmem)
    read_pages(name, version, contents);
  return 0;
}
