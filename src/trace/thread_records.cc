#include "trace/thread_records.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/fd.h"
#include "sys/bpf.h"
#include "sys/bpf_code.h"
#include "sys/btf.h"
#include "sys/file.h"

namespace cryo {
namespace {

enum class Use : uint8_t {
  fact,     // goes into the record
  likeness  // counts for ThreadRecord::likeness only
};
enum class Need : uint8_t { always, where_known };

// Members of task_struct. Those that are not known everywhere belong to one architecture or configuration, or came
// with a later kernel.
struct Field {
  std::string_view path;
  Use use = Use::likeness;
  Need need = Need::always;
};

constexpr Field kFields[] = {
    {"comm", Use::fact},
    {"restart_block", Use::fact},
    {"pending.signal.sig", Use::fact},
    {"clear_child_tid", Use::fact},
    {"sas_ss_sp", Use::fact},
    {"sas_ss_size", Use::fact},
    {"sas_ss_flags", Use::fact},
    {"files", Use::fact},
    {"fs", Use::fact},
    {"nsproxy", Use::fact},
    {"children.next", Use::fact},
    {"files"},
    {"fs"},
    {"nsproxy"},
    {"cred"},
    {"real_cred"},
    {"flags"},
    {"atomic_flags"},
    {"personality"},
    {"pdeath_signal"},
    {"timer_slack_ns"},
    {"thread_info.flags"},
    {"thread_info.syscall_work", Use::likeness, Need::where_known},
    {"syscall_dispatch", Use::likeness, Need::where_known},
    {"seccomp", Use::likeness, Need::where_known},
    {"mempolicy", Use::likeness, Need::where_known},
    {"cgroups", Use::likeness, Need::where_known},
    {"security", Use::likeness, Need::where_known},
    {"thread.features", Use::likeness, Need::where_known},
    {"thread.features_locked", Use::likeness, Need::where_known},
};

// In front of the fields: the thread's number and the address of its task_struct.
constexpr uint32_t kHead = 2 * sizeof(uint64_t);
constexpr int16_t kRoom = 448;  // for a record on the program's stack of 512 bytes
constexpr std::string_view kFunctionFormat{"%ps\n\0\0\0", 8};

struct Place {
  uint32_t kernel;  // offset in task_struct
  uint32_t record;  // offset in the record
  uint32_t size;    // 0: this kernel does not have it
};

struct Layout {
  uint32_t iterator;             // id of the function bpf_iter_task
  uint32_t thread_pid;           // in task_struct
  uint32_t level, numbers;       // in struct pid
  uint32_t number, number_size;  // in struct upid
  std::array<Place, std::size(kFields)> places;
  uint32_t size;  // of a record
  RestartBlockLayout restart;

  const Place& place(std::string_view path) const {
    for (size_t i = 0; i < std::size(kFields); ++i)
      if (kFields[i].path == path) return places[i];
    return places[0];  // not reached: the callers name fields of the table
  }
};

Result<void> find_fields(const sys::Btf& btf, uint32_t task, Layout& out) {
  out.size = kHead;
  for (size_t i = 0; i < std::size(kFields); ++i) {
    const std::optional<sys::BtfMember> member = btf.member_at(task, kFields[i].path);
    if (!member && kFields[i].need == Need::always) return sys::not_in_btf(kFields[i].path);
    out.places[i] = {member ? member->offset : 0, out.size, member ? btf.size(member->type) : 0};
    out.size += (out.places[i].size + 7) & ~uint32_t{7};
  }
  return out.size <= kRoom ? Result<void>() : sys::not_in_btf("task_struct that is small enough");
}

Result<Layout> find_layout(const sys::Btf& btf) {
  constexpr auto kStructure = sys::BtfKind::structure;
  constexpr sys::BtfName kNames[] = {{sys::BtfKind::function, "bpf_iter_task"},
                                     {kStructure, "task_struct"},
                                     {kStructure, "restart_block"},
                                     {kStructure, "pid"},
                                     {kStructure, "upid"}};
  const std::vector<uint32_t> ids = btf.find(kNames);
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] == 0) return sys::not_in_btf(kNames[i].name);
  const auto thread_pid = btf.member(ids[1], "thread_pid");
  const auto level = btf.member(ids[3], "level"), numbers = btf.member(ids[3], "numbers");
  const auto number = btf.member(ids[4], "nr");
  if (!thread_pid || !level || !numbers || !number) return sys::not_in_btf("known struct pid");
  Layout out{};
  out.iterator = ids[0];
  out.thread_pid = thread_pid->offset;
  out.level = level->offset;
  out.numbers = numbers->offset;
  out.number = number->offset;
  out.number_size = btf.size(ids[4]);
  TRY(find_fields(btf, ids[1], out));
  out.restart = TRY(RestartBlockLayout::find(btf, ids[2]));
  return out;
}

// The number in the innermost namespace: thread_pid->numbers[thread_pid->level].nr.
void write_number(sys::BpfCode& code, const Layout& layout, uint8_t task, int16_t stack) {
  constexpr uint8_t kPid = BPF_REG_8, kLevel = BPF_REG_9;
  code.read_kernel(stack, sizeof(uint64_t), task, layout.thread_pid);
  code.load(kPid, BPF_REG_10, stack);
  code.store_value(stack, 0);
  code.read_kernel(stack, sizeof(uint32_t), kPid, layout.level);
  code.load_word(kLevel, BPF_REG_10, stack);
  code.multiply(kLevel, static_cast<int32_t>(layout.number_size));
  code.add_register(kPid, kLevel);
  code.read_kernel(stack, sizeof(uint32_t), kPid, layout.numbers + layout.number);
}

// For each thread: the record, and the name of its restart function as a line of text.
std::vector<bpf_insn> make_program(const Layout& layout) {
  constexpr int16_t kText = -int16_t{kFunctionFormat.size()};
  constexpr int16_t kRecord = kText - kRoom;
  constexpr uint8_t kOutput = BPF_REG_6, kTask = BPF_REG_7;
  const auto on_stack = [](uint32_t offset) {
    return static_cast<int16_t>(kRecord + static_cast<int32_t>(offset));
  };
  sys::BpfCode code;
  const size_t last =
      code.begin_iteration(kOutput, kTask, 1);  // { meta; struct task_struct* task; }
  for (uint32_t at = 0; at < layout.size; at += sizeof(uint64_t)) code.store_value(on_stack(at), 0);
  write_number(code, layout, kTask, on_stack(0));
  code.store(on_stack(sizeof(uint64_t)), kTask);
  for (const Place& place : layout.places)
    if (place.size != 0) code.read_kernel(on_stack(place.record), place.size, kTask, place.kernel);
  code.write_out(kOutput, kRecord, layout.size);
  uint64_t text = 0;
  std::memcpy(&text, kFunctionFormat.data(), sizeof(text));
  code.store_value(kText, text);
  code.move(BPF_REG_1, kOutput);
  code.stack_address(BPF_REG_2, kText);
  code.set(BPF_REG_3, static_cast<int32_t>(std::strlen(kFunctionFormat.data()) + 1));
  code.stack_address(BPF_REG_4,
                     on_stack(layout.place("restart_block").record + layout.restart.function));
  code.set(BPF_REG_5, sizeof(uint64_t));
  code.call(BPF_FUNC_seq_printf);
  code.end_iteration(last);
  return code.code();
}

class Reader {
 public:
  Reader(const Layout& layout, std::string_view record)
      : layout_(layout), bytes_(std::as_bytes(std::span(record))) {}
  std::span<const std::byte> bytes(std::string_view path) const {
    const Place& place = layout_.place(path);
    return bytes_.subspan(place.record, place.size);
  }
  uint64_t word(std::string_view path) const {
    uint64_t value = 0;
    const std::span<const std::byte> from = bytes(path);
    std::memcpy(&value, from.data(), std::min(sizeof(value), from.size()));
    return value;
  }
  uint64_t head(size_t index) const {
    uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + index * sizeof(value), sizeof(value));
    return value;
  }

 private:
  const Layout& layout_;
  std::span<const std::byte> bytes_;
};

ThreadRecord decode(const Layout& layout, std::string_view bytes, std::string_view function) {
  const Reader reader(layout, bytes);
  ThreadRecord out;
  out.restart = decode_restart_block(function, reader.bytes("restart_block"), layout.restart);
  const std::span<const std::byte> comm = reader.bytes("comm");
  const char* name = reinterpret_cast<const char*>(comm.data());
  out.comm.assign(name, strnlen(name, comm.size()));
  out.pending = reader.word("pending.signal.sig");
  out.clear_child_tid = reader.word("clear_child_tid");
  out.signal_stack = reader.word("sas_ss_sp");
  out.signal_stack_size = reader.word("sas_ss_size");
  out.signal_stack_flags = static_cast<uint32_t>(reader.word("sas_ss_flags"));
  out.files = reader.word("files");
  out.fs = reader.word("fs");
  out.namespaces = reader.word("nsproxy");
  // An empty list leads back to its head.
  out.has_children =
      reader.word("children.next") != reader.head(1) + layout.place("children.next").kernel;
  for (size_t i = 0; i < std::size(kFields); ++i)
    if (kFields[i].use == Use::likeness)
      out.likeness += bytes.substr(layout.places[i].record, layout.places[i].size);
  return out;
}

}  // namespace

struct ThreadRecorder::Program {
  Fd fd;
  Layout layout;

  static Result<std::unique_ptr<Program>> load(sys::KernelBtf& kernel) {
    const sys::Btf* btf = TRY(kernel.get());
    auto out = std::make_unique<Program>();
    out->layout = TRY(find_layout(*btf));
    out->fd = TRY(sys::bpf_load_iterator(make_program(out->layout), out->layout.iterator));
    return out;
  }
};

ThreadRecorder::ThreadRecorder(sys::KernelBtf& btf) : btf_(&btf) {}
ThreadRecorder::~ThreadRecorder() = default;

Result<ThreadRecords> ThreadRecorder::read(Pid pid) {
  if (!program_ && failure_.empty()) {
    Result<std::unique_ptr<Program>> loaded = Program::load(*btf_);
    if (loaded)
      program_ = std::move(*loaded);
    else
      failure_ = loaded.error().message();
  }
  if (!program_) return Error::unsupported(failure_);
  const Layout& layout = program_->layout;
  const Fd threads = TRY(sys::bpf_iterate_process(program_->fd, pid));
  const std::string text = TRY(sys::read_to_end(threads));
  ThreadRecords out;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n', layout.size);
    if (rest.size() <= layout.size || end == std::string_view::npos)
      return Error::os(EINVAL, fmt::format("the records of {}'s threads are cut off", pid));
    const auto number = static_cast<int32_t>(Reader(layout, rest).head(0));
    out.emplace(number, decode(layout, rest.substr(0, layout.size),
                               rest.substr(layout.size, end - layout.size)));
    rest.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace cryo
