// Small settings of a thread that only the thread itself can read: parent-death signal, timer slack, machine-check
// policy, time stamp counter, speculation controls, I/O flusher, personality, CPUID faulting; and system
// call user dispatch, which only a tracer can.
//
// New threads inherit all but the first from their maker, so a restore sets what differs from the coordinator's own,
// after all threads have been made.
#include <linux/prctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "arch/thread_switches.h"
#include "kinds/all.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/ptrace.h"
#include "sys/raw.h"

namespace cryo {
namespace {

using Attributes = pb::cryo_thread_attributes_entry;
using Words = std::array<uint64_t, 3>;  // system call number and first arguments

constexpr uint64_t kSpeculation =
    PR_SPEC_ENABLE | PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC;
constexpr uint32_t kInvalid = 0xffffffff;

enum class Answers : uint8_t {
  with_value,       // the call returns the value
  into_int,         // the call writes an int where the last argument of `get` points
  with_speculation  // the call returns PR_SPEC_* bits
};

// One of them: how it is asked for and set (the value comes behind the words), and its field.
struct Attribute {
  const char* name;
  long nr;
  Answers answers;
  unsigned arguments;  // of `get` and `set`
  Words get, set;
  bool (Attributes::*has)() const;
  uint64_t (Attributes::*value)() const;
  void (Attributes::*assign)(uint64_t);
};

#define FIELD(field) &Attributes::has_##field, &Attributes::field, &Attributes::set_##field

const Attribute kAttributes[] = {
    {"timer slack",
     SYS_prctl,
     Answers::with_value,
     1,
     {PR_GET_TIMERSLACK},
     {PR_SET_TIMERSLACK},
     FIELD(timer_slack)},
    {"machine check policy",
     SYS_prctl,
     Answers::with_value,
     1,
     {PR_MCE_KILL_GET},
     {PR_MCE_KILL},
     FIELD(mce_kill)},
    {"time stamp counter", SYS_prctl, Answers::into_int, 1, {PR_GET_TSC}, {PR_SET_TSC}, FIELD(tsc)},
    {"store bypass",
     SYS_prctl,
     Answers::with_speculation,
     2,
     {PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS},
     {PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS},
     FIELD(store_bypass)},
    {"indirect branches",
     SYS_prctl,
     Answers::with_speculation,
     2,
     {PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH},
     {PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH},
     FIELD(indirect_branch)},
    {"flushing of the L1 cache",
     SYS_prctl,
     Answers::with_speculation,
     2,
     {PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH},
     {PR_SET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH},
     FIELD(l1d_flush)},
    {"I/O flusher",
     SYS_prctl,
     Answers::with_value,
     1,
     {PR_GET_IO_FLUSHER},
     {PR_SET_IO_FLUSHER},
     FIELD(io_flusher)},
    {"CPUID",
     arch::cpuid_switch().nr,
     Answers::with_value,
     1,
     {arch::cpuid_switch().get},
     {arch::cpuid_switch().set},
     FIELD(cpuid)},
};

#undef FIELD

// What the kernel answered, if it has the attribute and it can be set.
std::optional<uint64_t> value_of(const Attribute& attribute, int64_t result, int written) {
  if (result < 0) return std::nullopt;
  switch (attribute.answers) {
    case Answers::with_value:
      return static_cast<uint64_t>(result);
    case Answers::into_int:
      return static_cast<uint64_t>(static_cast<unsigned>(written));
    case Answers::with_speculation:
      if ((static_cast<uint64_t>(result) & PR_SPEC_PRCTL) == 0 ||
          (static_cast<uint64_t>(result) & kSpeculation) == 0)
        return std::nullopt;
      return static_cast<uint64_t>(result) & kSpeculation;
  }
  return std::nullopt;
}

struct Question {
  const Attribute* attribute;
  uint32_t call;
  Data written;
};

std::vector<Question> ask_attributes(Batch& batch) {
  std::vector<Question> questions;
  for (const Attribute& attribute : kAttributes) {
    if (attribute.nr < 0) continue;
    Question question{&attribute, batch.size(), batch.reserve(8)};
    if (attribute.answers == Answers::into_int)
      batch.call(attribute.nr, attribute.get[0], question.written, 0, 0, 0);
    else
      batch.call(attribute.nr, attribute.get[0], attribute.get[1], 0, 0, 0);
    batch.any_result();
    questions.push_back(question);
  }
  return questions;
}

Result<Answer> ask_thread(ThreadCapture& thread, Batch& batch) {
  const std::vector<Question> questions = ask_attributes(batch);
  const Data signal = batch.reserve(8);
  batch.call(SYS_prctl, PR_GET_PDEATHSIG, signal, 0, 0, 0);
  const uint32_t person = batch.size();
  batch.call(SYS_personality, kInvalid);
  ThreadImage* image = &thread.image();
  return Answer([=](const Outcome& outcome) -> Result<void> {
    Attributes& attributes = *image->extra.mutable_attributes();
    for (const Question& question : questions)
      if (const auto value = value_of(*question.attribute, outcome.result(question.call),
                                      outcome.get<int>(question.written)))
        (attributes.*question.attribute->assign)(*value);
    attributes.set_personality(static_cast<uint64_t>(outcome.result(person)));
    if (const auto number = outcome.get<uint32_t>(signal); number != 0)
      image->core.mutable_thread_core()->set_pdeath_sig(number);
    return {};
  });
}

bool adopt_thread(ThreadCapture& thread, const ThreadImage& like) {
  *thread.image().extra.mutable_attributes() = like.extra.attributes();
  if (like.core.thread_core().has_pdeath_sig())
    thread.core().set_pdeath_sig(like.core.thread_core().pdeath_sig());
  return true;
}

// The byte at `selector` decides whether the thread's system calls, and with them ours, become signals.
Result<void> capture_dispatch(ThreadCapture& thread) {
  const Result<sys::SyscallUserDispatch> asked =
      sys::ptrace_get_syscall_user_dispatch(thread.tid());
  if (!asked && asked.error().kind() == ErrorKind::gone)
    return Error::gone(asked.error().message());
  if (!asked || asked.value().mode == PR_SYS_DISPATCH_OFF)
    return {};  // a kernel before 6.4 cannot tell
  const sys::SyscallUserDispatch& dispatch = asked.value();
  char selector = 0;
  if (dispatch.selector != 0)
    TRY_IN(sys::pread_all(thread.task.mem, &selector, 1, dispatch.selector),
           "reading the selector of system call dispatch");
  if (selector != 0)
    thread.task.block(
        fmt::format("thread {}", thread.tid()),
        "is in code whose system calls are dispatched to it (PR_SET_SYSCALL_USER_DISPATCH)",
        "at another moment it may not be: try again");
  pb::cryo_dispatch_entry& entry = *thread.image().extra.mutable_dispatch();
  entry.set_selector(dispatch.selector);
  entry.set_offset(dispatch.offset);
  entry.set_length(dispatch.length);
  return {};
}

Result<void> capture_thread(ThreadCapture& thread) {
  if (!thread.status().x86_thread_features.empty())
    thread.task.block(
        fmt::format("thread {}", thread.tid()),
        fmt::format("has control-flow protection in use ({})", thread.status().x86_thread_features),
        "start it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off");
  return capture_dispatch(thread);
}

// --- restore

std::optional<uint64_t> own_value(const Attribute& attribute) {
  int written = 0;
  const bool into = attribute.answers == Answers::into_int;
  const int64_t result =
      sys::raw_call(attribute.nr, attribute.get[0],
                    into ? reinterpret_cast<uint64_t>(&written) : attribute.get[1], 0, 0, 0);
  return value_of(attribute, result, written);
}

void set_attribute(Batch& batch, const Attribute& attribute, uint64_t value) {
  if (attribute.get[0] == PR_MCE_KILL_GET && attribute.nr == SYS_prctl)
    batch.call(SYS_prctl, PR_MCE_KILL, PR_MCE_KILL_SET, value, 0, 0);
  else if (attribute.arguments == 2)
    batch.call(attribute.nr, attribute.set[0], attribute.set[1], value, 0, 0);
  else
    batch.call(attribute.nr, attribute.set[0], value, 0, 0, 0);
}

using OwnValues = std::array<std::optional<uint64_t>, std::size(kAttributes)>;

OwnValues own_values() {
  OwnValues values;
  for (size_t i = 0; i < values.size(); ++i)
    if (kAttributes[i].nr >= 0) values[i] = own_value(kAttributes[i]);
  return values;
}

void compile_attributes(TaskRestore& task, size_t index, const OwnValues& own_values) {
  const Attributes& wanted = task.image.threads[index].extra.attributes();
  for (size_t i = 0; i < own_values.size(); ++i) {
    const Attribute& attribute = kAttributes[i];
    if (attribute.nr < 0 || !(wanted.*attribute.has)()) continue;
    const uint64_t value = (wanted.*attribute.value)();
    const std::optional<uint64_t>& own = own_values[i];
    // Without an answer it is off, or we are not allowed to ask.
    if (own == value || (!own && value == 0)) continue;
    if (!own && attribute.answers == Answers::with_speculation) {
      // Another CPU or another kernel: whatever it does, the thread has no say in it.
      task.restore.log.warn(
          "Thread {}: this kernel does not let it control speculation ({}), ignoring",
          task.image.threads[index].tid, attribute.name);
      continue;
    }
    set_attribute(task.plan.calls(Phase::thread, index), attribute, value);
  }
}

void compile_personality(TaskRestore& task, size_t index, uint32_t own) {
  const Attributes& attributes = task.image.threads[index].extra.attributes();
  const uint32_t wanted = attributes.has_personality()
                              ? static_cast<uint32_t>(attributes.personality())
                              : task.image.tc().personality();
  // READ_IMPLIES_EXEC changes what mappings become: all of them are there by now.
  if (wanted != own && wanted != kInvalid)
    task.plan.calls(Phase::thread, index).call(SYS_personality, wanted);
}

void compile_parent_death_signal(TaskRestore& task, size_t index) {
  const pb::thread_core_entry& core = task.image.threads[index].core.thread_core();
  if (core.pdeath_sig() == 0) return;
  // The parent of a detached restore is gone right after it.
  if (task.image.node.ppid() == 0 && task.restore.options.detached &&
      !task.restore.options.sibling) {
    task.restore.log.warn(
        "Thread {} will not get signal {} when its parent dies: its parent will be this very "
        "process, ignoring",
        task.image.threads[index].tid, core.pdeath_sig());
    return;
  }
  task.plan.calls(Phase::late, index).call(SYS_prctl, PR_SET_PDEATHSIG, core.pdeath_sig(), 0, 0, 0);
}

Result<void> compile(TaskRestore& task) {
  const unsigned own_personality = TRY(sys::personality(kInvalid));
  const OwnValues own = own_values();
  for (size_t i = 0; i < task.image.threads.size(); ++i) {
    compile_attributes(task, i, own);
    compile_personality(task, i, own_personality);
    compile_parent_death_signal(task, i);
  }
  return {};
}

}  // namespace

const TaskKind thread_attributes_kind = {.name = "attributes of threads",
                                         .capture_thread = capture_thread,
                                         .ask_thread = ask_thread,
                                         .adopt_thread = adopt_thread,
                                         .compile = compile};

}  // namespace cryo
