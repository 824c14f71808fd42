#include "image/cursor.h"

#include <gtest/gtest.h>

#include "image/store.h"
#include "pipe-data.pb.h"
#include "pstree.pb.h"
#include "tests/harness/scratch_dir.h"

namespace cryo {
namespace {

constexpr ImageName kPipes{ImageKind::pipes_data};

std::string entry(uint32_t id, std::string_view payload) {
  pb::pipe_data_entry pipe;
  pipe.set_pipe_id(id);
  pipe.set_bytes(static_cast<uint32_t>(payload.size()));
  pipe.set_size(65536);
  std::string bytes;
  CHECK(encode_entry(pipe, bytes).has_value());
  return bytes += payload;
}

std::string image() {
  return image_head(ImageKind::pipes_data) + entry(1, "first") + entry(2, "") + entry(3, "third");
}

Result<std::string> read_through(ImageCursor cursor) {
  std::string all;
  pb::pipe_data_entry pipe;
  while (true) {
    const bool more = TRY(cursor.next(pipe));
    if (!more) return all;
    const std::string payload = TRY(cursor.take(pipe.bytes()));
    all += fmt::format("{}:{} ", pipe.pipe_id(), payload);
  }
}

Result<std::string> read_through(std::string bytes, uint32_t version = kImagesV1_1) {
  return read_through(TRY(ImageCursor::over(std::move(bytes), kPipes, version)));
}

TEST(ImageCursor, payloads_follow_their_entries) {
  EXPECT_EQ(read_through(image()).value(), "1:first 2: 3:third ");
}

TEST(ImageCursor, a_file_reads_like_its_contents) {
  const ScratchDir dir;
  dir.write("pipes-data.img", image());
  Fd fd = sys::openat(dir.open(), "pipes-data.img", O_RDONLY).value();
  EXPECT_EQ(read_through(ImageCursor::open(std::move(fd), kPipes, kImagesV1_1).value()).value(),
            "1:first 2: 3:third ");
}

TEST(ImageCursor, entries_larger_than_the_window_are_whole) {
  std::string bytes = image_head(ImageKind::pipes_data);
  std::string expected;
  for (uint32_t i = 0; i < 40; ++i) {
    const std::string payload(i * 7919U, static_cast<char>('a' + i % 26));
    bytes += entry(i, payload);
    expected += fmt::format("{}:{} ", i, payload);
  }
  const ScratchDir dir;
  dir.write("pipes-data.img", bytes);
  Fd fd = sys::openat(dir.open(), "pipes-data.img", O_RDONLY).value();
  EXPECT_EQ(read_through(ImageCursor::open(std::move(fd), kPipes, kImagesV1_1).value()).value(),
            expected);
}

TEST(ImageCursor, version_1_has_no_common_magic) {
  EXPECT_TRUE(read_through(image().substr(4), kImagesV1));
  EXPECT_EQ(read_through(image().substr(4)).error().message(),
            "pipes-data.img: starts with 0x56453709 instead of 0x54564319");
  EXPECT_EQ(read_through(image(), kImagesV1).error().message(),
            "pipes-data.img: has magic 0x54564319 instead of 0x56453709");
}

TEST(ImageCursor, every_truncation_but_those_between_entries_is_an_error) {
  const std::string whole = image();
  int clean = 0;
  for (size_t size = 0; size < whole.size(); ++size) {
    const Result<std::string> read = read_through(whole.substr(0, size));
    if (read) {
      ++clean;
    } else {
      EXPECT_EQ(read.error().kind(), ErrorKind::bad_image) << size;
    }
  }
  EXPECT_EQ(clean, 3);  // no entry, one, two
}

TEST(ImageCursor, every_flipped_bit_is_read_or_refused) {
  const std::string whole = image();
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const Result<std::string> read = read_through(damaged);
    EXPECT_TRUE(read || read.error().kind() == ErrorKind::bad_image) << bit;
  }
}

TEST(ImageCursor, a_huge_length_takes_no_memory) {
  const ScratchDir dir;
  dir.write("pipes-data.img",
            image_head(ImageKind::pipes_data) + std::string("\xff\xff\xff\xff", 4));
  Fd fd = sys::openat(dir.open(), "pipes-data.img", O_RDWR).value();
  ASSERT_TRUE(sys::ftruncate(fd, 1ULL << 40));  // a hole: the length is within the file
  EXPECT_EQ(
      read_through(ImageCursor::open(std::move(fd), kPipes, kImagesV1_1).value()).error().message(),
      "pipes-data.img, entry 0: says 4294967295 bytes, more than the limit of 67108864");
}

TEST(ImageCursor, errors_name_the_entry) {
  std::string bytes = image_head(ImageKind::pipes_data) + entry(1, "");
  EXPECT_EQ(read_through(bytes + std::string(4, '\0')).error().message(),
            "pipes-data.img, entry 1: a pipe_data_entry without all its required fields");
  EXPECT_EQ(read_through(bytes + std::string("\1\0\0\0\xff", 5)).error().message(),
            "pipes-data.img, entry 1: not a pipe_data_entry: damaged");
  EXPECT_EQ(read_through(bytes + std::string("\2\0\0\0\xff", 5)).error().message(),
            "pipes-data.img, entry 1: says 2 bytes, but the file ends after 1");
  EXPECT_EQ(read_through(bytes + "\1").error().message(),
            "pipes-data.img, entry 1: ends in the middle of a length");
}

}  // namespace
}  // namespace cryo
