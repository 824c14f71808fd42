#include "trace/mapping_records.h"

#include <array>
#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "sys/bpf.h"
#include "sys/bpf_code.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

// Not in the tree of mappings, but maps shows it.
constexpr std::string_view kVsyscall = "[vsyscall]";
constexpr uint64_t kVsyscallFlags = 0;  // no mapping has none
constexpr uint64_t kHugePage = 2 << 20;

// Members of vm_area_struct; an offset of UINT32_MAX: this kernel has no such member.
struct Layout {
  uint32_t iterator;  // id of the function bpf_iter_task_vma
  uint32_t start, flags, operations, policy;
};

Result<Layout> find_layout(const sys::Btf& btf) {
  constexpr sys::BtfName kNames[] = {{sys::BtfKind::function, "bpf_iter_task_vma"},
                                     {sys::BtfKind::structure, "vm_area_struct"}};
  const std::vector<uint32_t> ids = btf.find(kNames);
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] == 0) return sys::not_in_btf(kNames[i].name);
  const auto start = btf.member(ids[1], "vm_start"), flags = btf.member(ids[1], "vm_flags"),
             operations = btf.member(ids[1], "vm_ops"), policy = btf.member(ids[1], "vm_policy");
  if (!start || !flags || !operations) return sys::not_in_btf("known vm_area_struct");
  return Layout{ids[0], start->offset, flags->offset, operations->offset,
                policy ? policy->offset : UINT32_MAX};
}

using Words = std::array<uint64_t, 4>;  // start, flags, operations, policy

// For each mapping its words.
std::vector<bpf_insn> make_program(const Layout& layout) {
  constexpr int16_t kWords = -static_cast<int16_t>(sizeof(Words));
  constexpr uint8_t kOutput = BPF_REG_6, kMapping = BPF_REG_7;
  constexpr int16_t kWord = sizeof(uint64_t);
  sys::BpfCode code;
  // struct bpf_iter__task_vma { meta; struct task_struct* task; struct vm_area_struct* vma; }
  const size_t last = code.begin_iteration(kOutput, kMapping, 2);
  const uint32_t places[] = {layout.start, layout.flags, layout.operations, layout.policy};
  for (size_t i = 0; i < std::size(places); ++i) {
    const auto to = static_cast<int16_t>(kWords + kWord * static_cast<int16_t>(i));
    code.store_value(to, 0);
    if (places[i] != UINT32_MAX) code.read_kernel(to, sizeof(uint64_t), kMapping, places[i]);
  }
  code.write_out(kOutput, kWords, sizeof(Words));
  code.end_iteration(last);
  return code.code();
}

}  // namespace

struct MappingRecorder::Program {
  Fd fd;
};

MappingRecorder::MappingRecorder(sys::KernelBtf& btf) : btf_(&btf) {}
MappingRecorder::~MappingRecorder() = default;

Result<MappingRecorder::Program*> MappingRecorder::program() {
  if (!program_) {
    const sys::Btf* btf = TRY(btf_->get());
    const Layout layout = TRY(find_layout(*btf));
    Fd fd = TRY(sys::bpf_load_iterator(make_program(layout), layout.iterator));
    program_ = std::make_unique<Program>(Program{std::move(fd)});
  }
  return program_.get();
}

Result<std::vector<MappingRecord>> MappingRecorder::records(Pid pid, size_t most) {
  const Program* loaded = TRY(program());
  const Fd mappings = TRY(sys::bpf_iterate_process(loaded->fd, pid));
  std::vector<MappingRecord> out;
  std::array<Words, 2048> buffer;
  while (out.size() < most) {
    const size_t size = TRY(sys::read(mappings, buffer.data(), sizeof(buffer)));
    if (size == 0) break;
    if (size % sizeof(Words) != 0)
      return Error::os(EINVAL, fmt::format("the records of {}'s mappings are cut off", pid));
    for (size_t i = 0; i < size / sizeof(Words); ++i) {
      const auto& [start, flags, operations, policy] = buffer[i];
      // Once more the same, for a thread with files of its own.
      if (!out.empty() && start <= out.back().start) return out;
      out.push_back({start, flags, operations == 0 && policy == 0});
    }
  }
  return out;
}

namespace {

// smaps says more of these than their flags: that cannot be learnt.
bool is_special(const procfs::Vma& vma) {
  return vma.has(procfs::VmFlag::ht) || vma.usage.protection_key != 0;
}

std::unordered_map<uint64_t, MappingRecord> by_start(const std::vector<MappingRecord>& records) {
  std::unordered_map<uint64_t, MappingRecord> out;
  for (const MappingRecord& record : records) out.emplace(record.start, record);
  return out;
}

}  // namespace

Result<void> MappingRecorder::learn(const procfs::ProcTask& task, Pid pid, size_t most) {
  const auto before = by_start(TRY(records(pid, most)));
  const std::vector<procfs::Vma> vmas = TRY(task.smaps(most));
  const auto after = by_start(TRY(records(pid, most)));
  for (const procfs::Vma& vma : vmas) {
    if (vma.name == kVsyscall) meanings_[kVsyscallFlags] = {vma.flags, vma.unknown_flags};
    const auto first = before.find(vma.start), second = after.find(vma.start);
    if (first == before.end() || second == after.end() || is_special(vma)) continue;
    if (first->second.flags == second->second.flags)
      meanings_[first->second.flags] = {vma.flags, vma.unknown_flags};
  }
  return {};
}

Result<std::vector<procfs::Vma>> MappingRecorder::read(const procfs::ProcTask& task, Pid pid) {
  std::vector<procfs::Vma> vmas = TRY(task.maps());
  const std::vector<MappingRecord> all = TRY(records(pid, SIZE_MAX));
  auto record = all.begin();
  for (procfs::Vma& vma : vmas) {
    const bool vsyscall = vma.name == kVsyscall;
    if (!vsyscall && (record == all.end() || record->start != vma.start))
      return Error::unsupported(
          fmt::format("there is no record of the mapping {}", vma.to_string()));
    const auto meaning = meanings_.find(vsyscall ? kVsyscallFlags : record->flags);
    if (meaning == meanings_.end())
      return Error::unsupported(
          fmt::format("the mapping {} has flags {:#x}, which no other one had", vma.to_string(),
                      vsyscall ? 0 : record->flags));
    vma.flags = meaning->second.flags;
    vma.unknown_flags = meaning->second.unknown_flags;
    vma.default_policy = !vsyscall && record->default_policy;
    if (vma.inode == 0 && vma.size() >= kHugePage) vma.usage.anon_huge = vma.size();
    if (!vsyscall) ++record;
  }
  return vmas;
}

}  // namespace cryo
