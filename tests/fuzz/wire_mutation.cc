#include "tests/fuzz/wire_mutation.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace cryo::fuzz {
namespace {

// One field of a message in protobuf's wire format.
struct Field {
  uint64_t number;
  uint32_t type;  // 0 varint, 1 and 5 fixed, 2 bytes
  uint64_t value;
  std::string bytes;
};

std::optional<uint64_t> take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    value |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

void put_varint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

bool take_fixed(std::string_view& bytes, size_t size, uint64_t& value) {
  if (bytes.size() < size) return false;
  std::memcpy(&value, bytes.data(), size);
  bytes.remove_prefix(size);
  return true;
}

std::optional<std::vector<Field>> parse_fields(std::string_view bytes) {
  std::vector<Field> fields;
  while (!bytes.empty()) {
    const std::optional<uint64_t> key = take_varint(bytes);
    if (!key || *key >> 3 == 0) return std::nullopt;
    Field field{*key >> 3, static_cast<uint32_t>(*key & 7), 0, {}};
    if (field.type == 0 || field.type == 2) {
      const std::optional<uint64_t> value = take_varint(bytes);
      if (!value || (field.type == 2 && *value > bytes.size())) return std::nullopt;
      field.value = *value;
      if (field.type == 2) {
        field.bytes = bytes.substr(0, *value);
        bytes.remove_prefix(*value);
      }
    } else if (field.type != 1 && field.type != 5) {
      return std::nullopt;
    } else if (!take_fixed(bytes, field.type == 1 ? 8 : 4, field.value)) {
      return std::nullopt;
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

std::string format_fields(const std::vector<Field>& fields) {
  std::string out;
  for (const Field& field : fields) {
    put_varint(field.number << 3 | field.type, out);
    if (field.type == 0) put_varint(field.value, out);
    if (field.type == 1) out.append(reinterpret_cast<const char*>(&field.value), 8);
    if (field.type == 5) out.append(reinterpret_cast<const char*>(&field.value), 4);
    if (field.type == 2) {
      put_varint(field.bytes.size(), out);
      out += field.bytes;
    }
  }
  return out;
}

// Entries as the images frame them, and what follows the last whole one.
struct Entries {
  std::vector<std::string> messages;
  std::string rest;
};

Entries parse_entries(std::string_view contents) {
  Entries entries;
  uint32_t size = 0;
  while (contents.size() >= sizeof(size)) {
    std::memcpy(&size, contents.data(), sizeof(size));
    if (size > contents.size() - sizeof(size)) break;
    entries.messages.emplace_back(contents.substr(sizeof(size), size));
    contents.remove_prefix(sizeof(size) + size);
  }
  entries.rest = contents;
  return entries;
}

std::string format_entries(const Entries& entries) {
  std::string contents;
  for (const std::string& message : entries.messages) {
    const auto size = static_cast<uint32_t>(message.size());
    contents.append(reinterpret_cast<const char*>(&size), sizeof(size));
    contents += message;
  }
  return contents + entries.rest;
}

bool has_entries(const BundledImage& image) {
  return format_of(image.name.kind).framing != Framing::raw;
}

void collect(std::string_view message, std::vector<uint64_t>& numbers, int depth) {
  const std::optional<std::vector<Field>> fields = parse_fields(message);
  if (!fields) return;
  for (const Field& field : *fields) {
    if (field.type != 2) numbers.push_back(field.value);
    if (field.type == 2 && depth < 4) collect(field.bytes, numbers, depth + 1);
  }
}

}  // namespace

void BundleMutator::collect_numbers(const ImageBundle& bundle) {
  seen_.clear();
  for (const BundledImage& image : bundle) {
    if (!has_entries(image)) continue;
    for (const std::string& message : parse_entries(image.contents).messages)
      collect(message, seen_, 0);
  }
}

uint64_t BundleMutator::other_number(uint64_t old) {
  constexpr uint64_t kTelling[] = {0,
                                   1,
                                   2,
                                   4095,
                                   4096,
                                   INT32_MAX,
                                   uint64_t{INT32_MAX} + 1,
                                   UINT32_MAX,
                                   uint64_t{UINT32_MAX} + 1,
                                   0x7ffffffff000,
                                   uint64_t{1} << 47,
                                   INT64_MAX,
                                   uint64_t{INT64_MAX} + 1,
                                   UINT64_MAX - 4095,
                                   UINT64_MAX};
  switch (pick(6)) {
    case 0:
      return kTelling[pick(std::size(kTelling))];
    case 1:
      return old ^ uint64_t { 1 } << pick(64);
    case 2:
      return old + 1 + pick(4);
    case 3:
      return old - 1 - pick(4);
    case 4:
      return pick(256);
    default:
      return seen_.empty() ? old : seen_[pick(seen_.size())];
  }
}

void BundleMutator::mutate_message(std::string& message, int depth) {
  std::optional<std::vector<Field>> parsed = parse_fields(message);
  if (!parsed) return scramble_(message);
  std::vector<Field>& fields = *parsed;
  if (fields.empty() || one_in(20)) {
    fields.push_back({1 + pick(64), 0, other_number(0), {}});
  } else {
    const size_t at = pick(fields.size());
    Field& field = fields[at];
    if (one_in(12)) {
      fields.erase(fields.begin() + static_cast<ptrdiff_t>(at));
    } else if (one_in(12)) {
      fields.push_back(fields[at]);
    } else if (one_in(12)) {
      std::swap(field, fields[pick(fields.size())]);
    } else if (field.type != 2) {
      field.value = other_number(field.value);
    } else if (depth < 6 && !field.bytes.empty() && parse_fields(field.bytes) && !one_in(8)) {
      mutate_message(field.bytes, depth + 1);
    } else {
      scramble_(field.bytes);
    }
  }
  message = format_fields(fields);
}

void BundleMutator::mutate_entries(std::string& contents) {
  Entries entries = parse_entries(contents);
  std::vector<std::string>& messages = entries.messages;
  if (messages.empty() || one_in(20)) {
    messages.emplace_back();
  } else {
    const size_t at = pick(messages.size());
    if (one_in(15))
      messages.erase(messages.begin() + static_cast<ptrdiff_t>(at));
    else if (one_in(15))
      messages.insert(messages.begin() + static_cast<ptrdiff_t>(pick(messages.size())),
                      std::string(messages[at]));
    else if (one_in(15))
      std::swap(messages[at], messages[pick(messages.size())]);
    else if (one_in(30))
      scramble_(entries.rest);
    else
      mutate_message(messages[at], 0);
  }
  contents = format_entries(entries);
}

void BundleMutator::mutate_files(ImageBundle& bundle) {
  const size_t at = pick(bundle.size());
  switch (pick(4)) {
    case 0:
      bundle.erase(bundle.begin() + static_cast<ptrdiff_t>(at));
      return;
    case 1:
      bundle[at].name.number = other_number(bundle[at].name.number) % 100'000;
      return;
    case 2:
      bundle.push_back(bundle[at]);
      bundle.back().name.number = other_number(bundle[at].name.number) % 100'000;
      return;
    default:
      scramble_(bundle[at].contents);
  }
}

void BundleMutator::mutate(ImageBundle& bundle) {
  if (bundle.empty()) return;
  collect_numbers(bundle);
  for (size_t more = 1 + pick(3); more > 0 && !bundle.empty(); --more) {
    BundledImage& image = bundle[pick(bundle.size())];
    if (one_in(20) || !has_entries(image))
      mutate_files(bundle);
    else
      mutate_entries(image.contents);
  }
}

ImageBundle BundleMutator::mix(const ImageBundle& a, const ImageBundle& b) {
  ImageBundle mixed = a;
  for (BundledImage& image : mixed) {
    const auto same = std::ranges::find_if(
        b, [&](const BundledImage& other) { return other.name == image.name; });
    if (same != b.end() && one_in(2)) image = *same;
  }
  for (const BundledImage& image : b)
    if (one_in(4)) mixed.push_back(image);
  return mixed;
}

}  // namespace cryo::fuzz
