#include "frontend/cli/directories.h"

#include <fcntl.h>

#include <cerrno>

#include "sys/file.h"

namespace cryo::cli {
namespace {

constexpr const char* kPrefix = "checkpoint-";
constexpr int kMostNumbered = 10000;
// Its presence makes a directory a checkpoint.
constexpr const char* kInventory = "inventory.img";

bool later(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

}  // namespace

Result<std::string> make_checkpoint_directory(FdRef place, Pid pid) {
  const std::string first = fmt::format("{}{}", kPrefix, pid);
  std::string name = first;
  for (int number = 2; number < kMostNumbered; ++number) {
    Result<void> made = sys::mkdirat(place, name, 0700);
    if (made) return name;
    if (made.error().code() != EEXIST) return std::move(made).error();
    name = fmt::format("{}-{}", first, number);
  }
  return Error::usage(fmt::format("there are {} directories {}-* already", kMostNumbered, first));
}

Result<std::string> find_checkpoint_directory(FdRef place) {
  std::string found = ".";
  if (TRY(sys::exists(place, kInventory))) return found;
  const std::vector<sys::DirEntry> entries = TRY(sys::list_directory(place, "."));
  timespec newest{};
  for (const sys::DirEntry& entry : entries) {
    if (!entry.name.starts_with(kPrefix)) continue;
    const Result<struct stat> inventory = sys::fstatat(place, entry.name + "/" + kInventory);
    if (!inventory || (found != "." && !later(inventory.value().st_mtim, newest))) continue;
    newest = inventory.value().st_mtim;
    found = entry.name;
  }
  return found;
}

}  // namespace cryo::cli
