#include <elf.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "arch/vdso_code.h"
#include "image/pagemap.h"
#include "kinds/mm/own_memory_test.h"
#include "kinds/mm/vdso_image.h"
#include "kinds/mm/vma_status.h"
#include "mm.pb.h"
#include "procfs/reader.h"
#include "sys/file.h"
#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

using ClockGettime = int (*)(clockid_t, timespec*);

constexpr const char* kOurs = "the image is doctored, or the state made, for cryo";

uint64_t own_vdso() { return getauxval(AT_SYSINFO_EHDR); }

std::span<const std::byte> vdso_at(uint64_t address) {
  const procfs::Vma vma = own_mapping(reinterpret_cast<void*>(address));
  return {reinterpret_cast<const std::byte*>(vma.start), vma.size()};
}

ClockGettime clock_gettime_of(uint64_t vdso) {
  const std::map<std::string, VdsoFunction> functions = vdso_functions(vdso_at(vdso));
  const auto found = functions.find("__vdso_clock_gettime");
  EXPECT_NE(found, functions.end());
  return reinterpret_cast<ClockGettime>(vdso + found->second.offset);
}

void expect_right_time(ClockGettime function) {
  timespec before{}, now{}, after{};
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &before);
  ASSERT_EQ(function(CLOCK_MONOTONIC, &now), 0);
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &after);
  const auto ns = [](const timespec& t) { return t.tv_sec * 1'000'000'000 + t.tv_nsec; };
  EXPECT_LE(ns(before), ns(now));
  EXPECT_LE(ns(now), ns(after));
}

TEST(VdsoImage, functions_of_ours) {
  const std::map<std::string, VdsoFunction> functions = vdso_functions(vdso_at(own_vdso()));
  for (const auto& [name, function] : functions) {
    EXPECT_GE(function.room, 13U) << name;
    EXPECT_GT(function.offset, 0U) << name;
  }
  EXPECT_TRUE(functions.contains("__vdso_clock_gettime"));
}

TEST(VdsoImage, is_the_same_whatever_lies_behind_it) {
  const std::span<const std::byte> ours = vdso_at(own_vdso());
  std::vector<std::byte> other(ours.begin(), ours.end());
  EXPECT_TRUE(same_vdso(ours, other));
  other.back() = std::byte{1};
  EXPECT_TRUE(same_vdso(ours, other));
  other[EI_PAD + 1] = std::byte{1};
  EXPECT_FALSE(same_vdso(ours, other));
}

TEST(VdsoImage, garbage_has_no_functions) {
  const std::span<const std::byte> ours = vdso_at(own_vdso());
  std::vector<std::byte> other(ours.begin(), ours.end());
  for (size_t i = 4; i < 64; ++i) other[i] = std::byte{0xff};
  EXPECT_TRUE(vdso_functions(other).empty());
  EXPECT_FALSE(forward_vdso(other, ours, 0x1000));
  EXPECT_TRUE(vdso_functions(ours.first(100)).empty());
}

// Makes the vDSO in the images another one.
void doctor(const live::Between& between) {
  Result<Fd> dir = sys::open(between.images, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir);
  Result<ImageReader> images = ImageReader::open(std::move(dir).value());
  ASSERT_TRUE(images);
  const auto pid = static_cast<uint64_t>(between.pid);
  const Result<pb::mm_entry> mm = images.value().require<pb::mm_entry>({ImageKind::mm, pid});
  const Result<std::optional<Pagemap>> pages =
      read_pagemap(images.value(), {ImageKind::pagemap, pid});
  ASSERT_TRUE(mm);
  ASSERT_TRUE(pages);
  for (const pb::vma_entry& vma : mm.value().vmas()) {
    if ((vma.status() & kVmaVdso) == 0) continue;
    for (const Pagemap::Run& run : (*pages.value()).runs) {
      if (run.vaddr > vma.start() || run.vaddr + run.nr_pages * kTestPage <= vma.start()) continue;
      const Result<Fd> file = sys::open(
          between.images + fmt::format("/pages-{}.img", (*pages.value()).pages_id), O_RDWR);
      ASSERT_TRUE(file);
      ASSERT_TRUE(sys::pwrite_all(file.value(), "x", 1,
                                  run.offset + (vma.start() - run.vaddr) + EI_PAD + 1));
      return;
    }
  }
  FAIL() << "no vDSO in the images";
}

CHECKPOINT_TEST(Vdso, of_another_kernel, between(doctor),
                proc_differs({"smaps", "maps", "numa_maps", "task/*/stat/vsize",
                              "task/*/status/VmLib", "task/*/status/VmSize"},
                             "the vDSO is elsewhere"),
                except({"twice"}, kOurs)) {
  const uint64_t vdso = own_vdso();
  const ClockGettime function = clock_gettime_of(vdso);
  expect_right_time(function);
  checkpoint();
  const bool other = vdso_at(vdso)[EI_PAD + 1] == std::byte{'x'};
  EXPECT_EQ(own_mapping(reinterpret_cast<void*>(vdso)).name == "[vdso]", !other);
  expect_right_time(function);
  EXPECT_GT(time(nullptr), 1'000'000'000);
  checkpoint();
  expect_right_time(function);
}

struct Moved {
  uint64_t start = 0, size = 0, to = 0;
};

// The C library goes on calling the vDSO where it was: plain system calls are there now.
void leave_calls_at(uint64_t at, std::vector<std::byte> image) {
  for (const auto& [name, function] : vdso_functions(image)) {
    const std::optional<std::vector<std::byte>> code = arch::vdso_function_as_call(name);
    if (code) std::ranges::copy(*code, image.begin() + static_cast<ptrdiff_t>(function.offset));
  }
  void* place = reinterpret_cast<void*>(at);
  mmap(place, image.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  memcpy(place, image.data(), image.size());
  mprotect(place, image.size(), PROT_READ | PROT_EXEC);
}

// The vDSO and its data, to another place; returns what was where, the code first.
std::vector<Moved> move_vdso() {
  const uint64_t vdso = own_vdso();
  const std::span<const std::byte> ours = vdso_at(vdso);
  const std::vector<std::byte> image(ours.begin(), ours.end());
  std::vector<Moved> parts;
  uint64_t at = vdso + ours.size();
  for (;;) {
    const procfs::Vma vma = own_mapping(reinterpret_cast<void*>(at - 1));
    if (!vma.name.starts_with("[v")) break;
    parts.push_back({vma.start, vma.size()});
    at = vma.start;
    if (vma.name == "[vvar]") break;
  }
  void* room = mmap(nullptr, 64 * kTestPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(room, 64 * kTestPage);
  for (Moved& part : parts) {
    part.to = reinterpret_cast<uint64_t>(room) + (part.start - at);
    syscall(SYS_mremap, part.start, part.size, part.size, MREMAP_MAYMOVE | MREMAP_FIXED, part.to);
  }
  leave_calls_at(vdso, image);
  return parts;
}

CHECKPOINT_TEST(Vdso, moved, except({"peer_restores_ours", "we_restore_peers"}, kOurs)) {
  const uint64_t vdso = move_vdso().front().to;
  checkpoint();
  EXPECT_EQ(own_mapping(reinterpret_cast<void*>(vdso)).name, "[vdso]");
  expect_right_time(clock_gettime_of(vdso));
}

CHECKPOINT_TEST(Vdso, absent, proc_differs({"smaps"}, "a page of code has been written to"),
                except({"peer_restores_ours", "we_restore_peers"}, kOurs)) {
  for (const Moved& part : move_vdso()) munmap(reinterpret_cast<void*>(part.to), part.size);
  checkpoint();
  const Result<procfs::ProcDir> proc = procfs::ProcDir::open();
  const Result<procfs::ProcTask> self = proc.value().self();
  const Result<std::vector<procfs::Vma>> all = self.value().maps();
  for (const procfs::Vma& vma : all.value())
    EXPECT_FALSE(vma.name.starts_with("[vd") || vma.name.starts_with("[vv")) << vma.to_string();
}

}  // namespace
}  // namespace cryo
