// A directory of images. ImageWriter makes one, ImageReader reads one.
//
// A directory with an inventory.img is a whole checkpoint: it is the last file that appears. In a
// directory without images the others are written in place. Where an older checkpoint is to be
// replaced they are written under hidden names, and commit() first removes the older inventory.img, so
// a dump that fails leaves the older checkpoint as it was. The next writer removes what a killed one
// left: images in place are then the older ones, and hidden files have a lock file, whose lock nobody
// holds. (Not a hidden directory: ext4 puts a new directory into another block group, and creating a
// dozen files there took twice the time.)
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "image/cursor.h"
#include "image/magic.h"

namespace pb {
class inventory_entry;
}

namespace cryo {

// The bytes of one entry: length and message.
Result<void> encode_entry(const google::protobuf::MessageLite& message, std::string& out);
// The bytes that a file of this kind starts with.
std::string image_head(ImageKind kind);

class ImageWriter {
 public:
  enum class Mode : uint8_t {
    checkpoint,  // replaces all images of the directory; inventory.img must be among the new ones
    parts,       // adds files to what is there (page server, `cpuinfo dump`)
  };
  static Result<ImageWriter> open(FdRef dir, Mode mode);
  // For a dump that is only looked at beforehand: nothing of it can be written.
  static ImageWriter nowhere() { return ImageWriter(Fd(), Mode::checkpoint); }
  ImageWriter(ImageWriter&&) = default;
  ImageWriter& operator=(ImageWriter&&) = delete;
  ~ImageWriter();  // removes what was written, unless committed

  // An entry at the end of an image. Kept in memory until commit().
  Result<void> append(ImageName name, const google::protobuf::MessageLite& message);
  // Bytes at the end of an image: the payload of the entry before, or part of a raw image.
  Result<void> append_raw(ImageName name, std::string_view bytes);
  // An image without entries, if nothing is appended to it later.
  void create(ImageName name) { (void)buffer(name); }
  // The file itself, positioned behind what was appended so far, for large contents (pages, ghosts,
  // archives). From here on it is only written through descriptors. Open for reading and writing.
  Result<Fd> open_raw(ImageName name);
  // The link to the directory of the previous dump.
  void link_parent(std::string target) { parent_ = std::move(target); }

  Result<void> commit() &&;

 private:
  ImageWriter(Fd dir, Mode mode) : dir_(std::move(dir)), mode_(mode) {}
  Result<void> look_around();
  Result<void> lock();
  std::string& buffer(ImageName name);
  std::string staged_as(const std::string& file) const;
  Result<Fd> stage_file(const std::string& file);
  Result<void> stage_buffers();
  Result<void> remove_old();
  Result<void> publish(const std::string& file);
  Result<void> publish_parent();
  void discard();

  Fd dir_;
  Mode mode_;
  bool in_place_ = false;
  std::string prefix_;  // of the hidden names; as such the name of the lock file
  Fd lock_;             // held while there are files with hidden names
  std::map<ImageName, std::string> buffers_;
  std::set<std::string> staged_;     // created, and removed again unless committed
  std::set<std::string> published_;  // of these, the ones that have their own names
  std::optional<std::string> parent_;
  std::map<std::string, uint64_t> old_;  // images that were there at the start, with their inodes
};

// Writes a service file (statistics) at once into the work directory.
Result<void> write_service_image(FdRef dir, ImageKind kind,
                                 const google::protobuf::MessageLite& message);

class ImageReader {
 public:
  enum class Need : uint8_t {
    checkpoint,  // inventory.img must be there
    parts,       // need not; what there is, is read as the current version
  };
  static Result<ImageReader> open(Fd dir, Need need = Need::checkpoint);

  FdRef dir() const { return dir_; }
  uint32_t version() const { return version_; }
  Result<pb::inventory_entry> inventory() const;

  // A cursor behind the head of an image; none when there is no such file, which means "no
  // entries".
  Result<std::optional<ImageCursor>> find(ImageName name) const;
  // A raw image or pages file; none when there is no such file.
  Result<std::optional<Fd>> find_raw(ImageName name) const;

  // All entries of an image that has nothing but entries of one type.
  template <class Pb>
  Result<std::vector<Pb>> records(ImageName name) const;
  // The only entry of an image: none when the file is absent or empty, an error when there are
  // more.
  template <class Pb>
  Result<std::optional<Pb>> record(ImageName name) const;
  // The same where the entry must be there.
  template <class Pb>
  Result<Pb> require(ImageName name) const;

  // The directory behind the link `parent`; none when there is no such link.
  Result<std::optional<ImageReader>> parent() const;

 private:
  ImageReader(Fd dir, uint32_t version) : dir_(std::move(dir)), version_(version) {}
  static Error missing(ImageName name);

  Fd dir_;
  uint32_t version_;
};

template <class Pb>
Result<std::vector<Pb>> ImageReader::records(ImageName name) const {
  std::vector<Pb> all;
  std::optional<ImageCursor> cursor = TRY(find(name));
  bool more = cursor.has_value();
  while (more) {
    Pb& entry = all.emplace_back();
    more = TRY(cursor->next(entry));
  }
  if (!all.empty()) all.pop_back();
  return all;
}

template <class Pb>
Result<std::optional<Pb>> ImageReader::record(ImageName name) const {
  std::optional<ImageCursor> cursor = TRY(find(name));
  std::optional<Pb> entry;
  if (!cursor) return entry;
  const bool found = TRY(cursor->next(entry.emplace()));
  if (!found) return std::optional<Pb>();
  if (cursor->remaining() != 0) return cursor->bad("more than one entry");
  return entry;
}

template <class Pb>
Result<Pb> ImageReader::require(ImageName name) const {
  std::optional<Pb> entry = TRY(record<Pb>(name));
  if (!entry) return missing(name);
  return std::move(*entry);
}

}  // namespace cryo
