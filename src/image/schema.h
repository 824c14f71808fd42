// What the entries of each kind of image are: which message, and which raw bytes follow it.
// With it any image can be gone through without knowing what it is for.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "image/cursor.h"
#include "image/magic.h"

namespace cryo {

enum class PayloadKind : uint8_t {
  none,
  sized,     // PayloadSize says how much
  messages,  // ipcns-msg: each queued message has a head (ipc_msg) of its own
  ghost,     // to the end of the file, or chunks
};

struct ImageSchema {
  ImageKind kind;
  const google::protobuf::MessageLite& (*first)();  // default instance of the first entry's message
  const google::protobuf::MessageLite& (*rest)();   // and of the others'
  PayloadKind payload = PayloadKind::none;
  uint64_t (*payload_size)(const google::protobuf::MessageLite& entry) = nullptr;
};

// None for raw images.
const ImageSchema* schema_of(ImageKind kind);

// Raw bytes in the images of System V objects are padded. A size that overflows is too large for
// any file.
constexpr uint64_t padded(uint64_t size, uint64_t to) {
  return size > UINT64_MAX - to ? UINT64_MAX : (size + to - 1) / to * to;
}

struct ImageVisitor {
  std::function<Result<void>(const google::protobuf::MessageLite& message)> message;
  std::function<Result<void>(std::string_view bytes)> bytes;  // payload, in pieces
};
// Goes through an image to its end, in the order of the file.
Result<void> visit_image(ImageCursor cursor, const ImageVisitor& visitor);

}  // namespace cryo
