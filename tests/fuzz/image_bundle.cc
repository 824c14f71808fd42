#include "tests/fuzz/image_bundle.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "image/store.h"
#include "sys/file.h"

namespace cryo::fuzz {
namespace {

// The next `size` bytes, or what is left.
std::string_view take(std::string_view& bytes, size_t size) {
  const std::string_view taken = bytes.substr(0, size);
  bytes.remove_prefix(taken.size());
  return taken;
}

uint32_t take_word(std::string_view& bytes) {
  uint32_t value = 0;
  const std::string_view word = take(bytes, sizeof(value));
  std::memcpy(&value, word.data(), word.size());
  return value;
}

std::string head_of(ImageKind kind) {
  return format_of(kind).framing == Framing::raw ? std::string() : image_head(kind);
}

}  // namespace

ImageBundle parse_bundle(std::string_view bytes) {
  ImageBundle bundle;
  while (!bytes.empty()) {
    const size_t name_size = static_cast<uint8_t>(take(bytes, 1).front());
    const std::optional<ImageName> name = parse_image_name(take(bytes, name_size));
    const uint32_t size = take_word(bytes);
    const std::string_view contents = take(bytes, size);
    if (name) bundle.push_back({*name, std::string(contents)});
  }
  return bundle;
}

std::string format_bundle(const ImageBundle& bundle) {
  std::string bytes;
  for (const BundledImage& image : bundle) {
    const std::string name = image.name.file();
    const auto size = static_cast<uint32_t>(image.contents.size());
    bytes += static_cast<char>(name.size());
    bytes += name;
    bytes.append(reinterpret_cast<const char*>(&size), sizeof(size));
    bytes += image.contents;
  }
  return bytes;
}

Result<ImageBundle> bundle_directory(FdRef dir, size_t limit) {
  ImageBundle bundle;
  const std::vector<sys::DirEntry> files = TRY(sys::list_directory(dir, "."));
  for (const sys::DirEntry& file : files) {
    const std::optional<ImageName> name = parse_image_name(file.name);
    if (!name) continue;
    const std::string contents = TRY(sys::read_file(dir, file.name));
    const std::string head = head_of(name->kind);
    if (contents.size() > limit || !contents.starts_with(head)) continue;
    bundle.push_back({*name, contents.substr(head.size())});
  }
  return bundle;
}

Result<void> write_bundle(const ImageBundle& bundle, FdRef dir, uint64_t raw_size) {
  for (const BundledImage& image : bundle) {
    const std::string contents = head_of(image.name.kind) + image.contents;
    const Fd file =
        TRY(sys::openat(dir, image.name.file(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    TRY(sys::write_all(file, contents.data(), contents.size()));
    if (format_of(image.name.kind).framing == Framing::raw && contents.size() < raw_size)
      TRY(sys::ftruncate(file, raw_size));
  }
  return {};
}

Result<void> remove_images(FdRef dir) {
  const std::vector<sys::DirEntry> files = TRY(sys::list_directory(dir, "."));
  for (const sys::DirEntry& file : files) TRY(sys::unlinkat(dir, file.name));
  return {};
}

}  // namespace cryo::fuzz
