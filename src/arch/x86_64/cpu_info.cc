#include "arch/cpu_info.h"

#include <cpuid.h>

#include <array>
#include <cstring>
#include <vector>

namespace cryo::arch {
namespace {

// The order of the words of `capability` is that of the Linux kernel (x86_capability[]), as CRIU writes them.
constexpr int kWords = 19;
constexpr uint32_t kCapabilityVersion = 2;

struct Word {
  int index;
  uint32_t leaf, subleaf;
  char reg;
};
constexpr Word kCpuidWords[] = {
    {0, 1, 0, 'd'},  {1, 0x80000001, 0, 'd'}, {4, 1, 0, 'c'},  {6, 0x80000001, 0, 'c'},
    {9, 7, 0, 'b'},  {10, 0xd, 1, 'a'},       {11, 7, 0, 'c'}, {13, 0x80000008, 0, 'b'},
    {14, 6, 0, 'a'}, {18, 7, 0, 'd'},
};

// Bits that say what the system does, not what programs may use: OSXSAVE, hypervisor.
constexpr uint32_t kIgnored4 = 1U << 27 | 1U << 31;
constexpr uint64_t kSse = 2;  // in XCR0

struct Named {
  int word, bit;
  const char* name;
};
// Those that people know by name; the others are named by word and bit.
constexpr Named kNames[] = {
    {0, 25, "sse"},      {0, 26, "sse2"},     {1, 29, "lm"},      {4, 0, "sse3"},
    {4, 1, "pclmulqdq"}, {4, 9, "ssse3"},     {4, 12, "fma"},     {4, 13, "cx16"},
    {4, 19, "sse4_1"},   {4, 20, "sse4_2"},   {4, 22, "movbe"},   {4, 23, "popcnt"},
    {4, 25, "aes"},      {4, 26, "xsave"},    {4, 28, "avx"},     {4, 29, "f16c"},
    {4, 30, "rdrand"},   {6, 5, "abm"},       {9, 0, "fsgsbase"}, {9, 3, "bmi1"},
    {9, 5, "avx2"},      {9, 8, "bmi2"},      {9, 9, "erms"},     {9, 16, "avx512f"},
    {9, 17, "avx512dq"}, {9, 18, "rdseed"},   {9, 19, "adx"},     {9, 29, "sha_ni"},
    {9, 30, "avx512bw"}, {9, 31, "avx512vl"}, {10, 1, "xsavec"},  {10, 3, "xsaves"},
    {11, 3, "pku"},      {11, 8, "gfni"},     {11, 9, "vaes"},    {11, 22, "rdpid"},
};

std::string name_of(int word, int bit) {
  for (const Named& named : kNames)
    if (named.word == word && named.bit == bit) return named.name;
  return fmt::format("feature {}:{}", word, bit);
}

std::array<uint32_t, 4> cpuid(uint32_t leaf, uint32_t subleaf) {
  std::array<uint32_t, 4> r{};
  (void)__get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]);
  return r;
}

uint32_t read(const Word& word) {
  const std::array<uint32_t, 4> r = cpuid(word.leaf, word.subleaf);
  return r[static_cast<size_t>(word.reg - 'a')];
}

pb::cpuinfo_x86_entry::vendor vendor_of(const std::string& name) {
  if (name == "GenuineIntel") return pb::cpuinfo_x86_entry::INTEL;
  if (name == "AuthenticAMD") return pb::cpuinfo_x86_entry::AMD;
  return pb::cpuinfo_x86_entry::UNKNOWN;
}

void set_model(pb::cpuinfo_x86_entry& entry) {
  const std::array<uint32_t, 4> vendor = cpuid(0, 0);
  std::string name(12, '\0');
  std::memcpy(name.data(), &vendor[1], 4);
  std::memcpy(name.data() + 4, &vendor[3], 4);
  std::memcpy(name.data() + 8, &vendor[2], 4);
  entry.set_vendor_id(vendor_of(name));
  const uint32_t signature = cpuid(1, 0)[0];
  uint32_t family = signature >> 8 & 15;
  uint32_t model = signature >> 4 & 15;
  if (family == 15) family += signature >> 20 & 255;
  if (family >= 6) model |= (signature >> 16 & 15) << 4;
  entry.set_cpu_family(family);
  entry.set_model(model);
  entry.set_stepping(signature & 15);
  std::string text;
  for (const uint32_t leaf : {0x80000002U, 0x80000003U, 0x80000004U}) {
    const std::array<uint32_t, 4> part = cpuid(leaf, 0);
    text.append(reinterpret_cast<const char*>(part.data()), 16);
  }
  entry.set_model_id(text.c_str());
}

Error lacks(const std::string& what) {
  return Error::unsupported(fmt::format("this processor cannot run the process: {}", what))
      .hint("restore on a processor like the one it was dumped on, or relax --cpu-cap");
}

}  // namespace

Result<pb::cpuinfo_entry> cpu_info() {
  pb::cpuinfo_entry info;
  pb::cpuinfo_x86_entry& entry = *info.add_x86_entry();
  set_model(entry);
  entry.set_capability_ver(kCapabilityVersion);
  for (int i = 0; i < kWords; ++i) entry.add_capability(0);
  for (const Word& word : kCpuidWords) entry.set_capability(word.index, read(word));
  const std::array<uint32_t, 4> state = cpuid(0xd, 0);
  // CRIU leaves out SSE, which every processor of 64 bits has.
  entry.set_xfeatures_mask((state[0] | uint64_t{state[3]} << 32) & ~kSse);
  entry.set_xsave_size(state[1]);
  entry.set_xsave_size_max(state[2]);
  return info;
}

Result<void> check_cpu(const pb::cpuinfo_entry& image, const pb::cpuinfo_entry& host,
                       const CpuDemands& demands) {
  if (image.x86_entry_size() != 1)
    return Error::bad_image("cpuinfo.img is not of one x86 processor");
  const pb::cpuinfo_x86_entry& was = image.x86_entry(0);
  const pb::cpuinfo_x86_entry& is = host.x86_entry(0);
  if (demands.model && (was.vendor_id() != is.vendor_id() || was.cpu_family() != is.cpu_family() ||
                        was.model() != is.model() || was.stepping() != is.stepping()))
    return lacks(
        fmt::format("it is {}, and the image comes from {}", is.model_id(), was.model_id()));
  std::vector<std::string> missing;
  if (demands.instructions)
    for (const Word& word : kCpuidWords) {
      if (word.index >= was.capability_size()) continue;
      uint32_t lost = was.capability(word.index) & ~is.capability(word.index);
      if (word.index == 4) lost &= ~kIgnored4;
      for (int bit = 0; bit < 32; ++bit)
        if ((lost >> bit & 1) != 0) missing.push_back(name_of(word.index, bit));
    }
  if (!missing.empty()) return lacks(fmt::format("it lacks {}", fmt::join(missing, ", ")));
  const uint64_t lost = was.xfeatures_mask() & ~is.xfeatures_mask() & ~kSse;
  if (demands.fpu && lost != 0)
    return lacks(fmt::format("it lacks parts {:#x} of the extended state", lost));
  return {};
}

}  // namespace cryo::arch
