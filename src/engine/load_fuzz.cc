// A hostile directory of images: it is read, cross-checked and compiled into a plan, and nothing is performed.
//
// An input is a bundle of images (tests/fuzz/image_bundle.h). `load_fuzz --pack DIR FILE` makes one of a checkpoint.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "engine/cpu.h"
#include "engine/restore.h"
#include "image/store.h"
#include "sys/file.h"
#include "tests/fuzz/wire_mutation.h"
#include "tests/harness/scratch_dir.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace cryo {
namespace {

constexpr uint64_t kRawSize = 1U << 20U;  // of files with pages
constexpr size_t kLargestPacked = 64U << 10U;

class Directory {
 public:
  Directory() : directory_(parent()), fd_(directory_.open()) {}
  FdRef dir() const { return fd_; }

 private:
  // In memory where that is possible.
  static std::filesystem::path parent() {
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
  }
  ScratchDir directory_;
  Fd fd_;
};

void plan_restore(FdRef dir) {
  Log log;
  log.set_level(0);
  Job job{.log = log, .images = dir, .work = dir};
  RestoreOptions options;
  options.shell_job = true;
  (void)explain_restore(options, job);
  Result<Fd> again = sys::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(again);
  Result<ImageReader> images = ImageReader::open(std::move(again).value());
  if (images) (void)compare_cpu(images.value(), options.cpu_cap);
}

int pack(const char* from, const char* to) {
  const Result<Fd> dir = sys::open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!dir) return 1;
  const Result<fuzz::ImageBundle> bundle = fuzz::bundle_directory(dir.value(), kLargestPacked);
  return bundle && sys::write_file(sys::cwd(), to, fuzz::format_bundle(bundle.value())) ? 0 : 1;
}

size_t copy_out(const std::string& bytes, uint8_t* data, size_t max_size) {
  if (bytes.size() > max_size) return 0;
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}

void scramble(std::string& bytes) {
  const size_t size = bytes.size();
  bytes.resize(size + 16);
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data()), size, bytes.size()));
}

std::string_view text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace
}  // namespace cryo

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc == 4 && std::strcmp((*argv)[1], "--pack") == 0)
    exit(cryo::pack((*argv)[2], (*argv)[3]));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  cryo::fuzz::BundleMutator::Random random(seed);
  cryo::fuzz::ImageBundle bundle = cryo::fuzz::parse_bundle(cryo::text(data, size));
  cryo::fuzz::BundleMutator(random, cryo::scramble).mutate(bundle);
  return cryo::copy_out(cryo::fuzz::format_bundle(bundle), data, max_size);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, size_t a_size, const uint8_t* b,
                                            size_t b_size, uint8_t* out, size_t max_size,
                                            unsigned seed) {
  cryo::fuzz::BundleMutator::Random random(seed);
  const cryo::fuzz::ImageBundle mixed = cryo::fuzz::BundleMutator(random, cryo::scramble)
                                            .mix(cryo::fuzz::parse_bundle(cryo::text(a, a_size)),
                                                 cryo::fuzz::parse_bundle(cryo::text(b, b_size)));
  return cryo::copy_out(cryo::fuzz::format_bundle(mixed), out, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const cryo::Directory directory;
  CHECK(cryo::fuzz::remove_images(directory.dir()));
  CHECK(cryo::fuzz::write_bundle(cryo::fuzz::parse_bundle(cryo::text(data, size)), directory.dir(),
                                 cryo::kRawSize));
  cryo::plan_restore(directory.dir());
  return 0;
}
