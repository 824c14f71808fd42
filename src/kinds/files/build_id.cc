#include "kinds/files/build_id.h"

#include <elf.h>

#include <cstring>
#include <span>

#include "sys/file.h"

namespace cryo {
namespace {

constexpr size_t kMostNotes = 64 * 1024;
constexpr size_t kMostSegments = 512;
constexpr uint32_t kMostId = 256;

// A segment with notes: where in the file.
struct Notes {
  uint64_t offset, size;
};

template <class T>
T at(std::span<const std::byte> bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <class Header, class Segment>
std::vector<Notes> find_notes(FdRef file, std::span<const std::byte> head) {
  std::vector<Notes> all;
  if (head.size() < sizeof(Header)) return all;
  const Header header = at<Header>(head, 0);
  if (header.e_phentsize != sizeof(Segment) || header.e_phnum > kMostSegments) return all;
  std::vector<Segment> segments(header.e_phnum);
  const Result<void> read =
      sys::pread_all(file, segments.data(), segments.size() * sizeof(Segment), header.e_phoff);
  if (!read) return all;
  for (const Segment& segment : segments)
    if (segment.p_type == PT_NOTE) all.push_back({segment.p_offset, segment.p_filesz});
  return all;
}

std::vector<uint32_t> id_among(std::span<const std::byte> notes) {
  const auto padded = [](size_t size) { return (size + 3) & ~size_t{3}; };
  size_t from = 0;
  while (from + sizeof(Elf64_Nhdr) <= notes.size()) {
    const auto note = at<Elf64_Nhdr>(notes, from);
    const size_t name = from + sizeof note;
    const size_t id = name + padded(note.n_namesz);
    const size_t next = id + padded(note.n_descsz);
    if (next > notes.size() || next <= from) return {};
    const bool gnu = note.n_namesz == 4 && std::memcmp(notes.data() + name, "GNU", 4) == 0;
    if (gnu && note.n_type == NT_GNU_BUILD_ID && note.n_descsz != 0 && note.n_descsz <= kMostId) {
      std::vector<uint32_t> words((note.n_descsz + 3) / 4);
      std::memcpy(words.data(), notes.data() + id, note.n_descsz);
      return words;
    }
    from = next;
  }
  return {};
}

}  // namespace

std::vector<uint32_t> read_build_id(FdRef file) {
  std::byte head[sizeof(Elf64_Ehdr)];
  const Result<size_t> size = sys::pread(file, head, sizeof head, 0);
  if (!size || size.value() < sizeof(Elf32_Ehdr) || std::memcmp(head, ELFMAG, SELFMAG) != 0)
    return {};
  const std::span<const std::byte> read(head, size.value());
  std::vector<Notes> segments;
  if (head[EI_CLASS] == std::byte{ELFCLASS64})
    segments = find_notes<Elf64_Ehdr, Elf64_Phdr>(file, read);
  if (head[EI_CLASS] == std::byte{ELFCLASS32})
    segments = find_notes<Elf32_Ehdr, Elf32_Phdr>(file, read);
  for (const Notes& segment : segments) {
    if (segment.size > kMostNotes) continue;
    std::vector<std::byte> notes(segment.size);
    if (!sys::pread_all(file, notes.data(), notes.size(), segment.offset)) continue;
    std::vector<uint32_t> id = id_among(notes);
    if (!id.empty()) return id;
  }
  return {};
}

}  // namespace cryo
