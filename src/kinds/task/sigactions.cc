// What a process does with each signal: rt_sigaction(2), the table that its threads share.
#include "kinds/all.h"

#include <sys/syscall.h>

#include <csignal>

#include "sys/signal.h"

namespace cryo {
namespace {

constexpr bool is_fixed(int signal) { return signal == SIGKILL || signal == SIGSTOP; }
constexpr int kEntries = sys::kSignals - 2;  // in the image: 1..64 without these

Result<Answer> ask(TaskCapture& task, Batch& batch) {
  std::vector<Data> actions;
  for (int signal = 1; signal <= sys::kSignals; ++signal) {
    if (is_fixed(signal)) continue;
    actions.push_back(batch.reserve(sizeof(sys::KernelSigaction)));
    batch.call(SYS_rt_sigaction, signal, 0, actions.back(), sizeof(sys::SigSet));
  }
  return Answer([&task, actions](const Outcome& outcome) -> Result<void> {
    for (const Data& at : actions) {
      const sys::KernelSigaction action = outcome.get<sys::KernelSigaction>(at);
      pb::sa_entry& entry = *task.image.mutable_tc().add_sigactions();
      entry.set_sigaction(action.handler);
      entry.set_flags(action.flags);
      entry.set_restorer(action.restorer);
      entry.set_mask(action.mask);
      entry.set_compat_sigaction(false);
    }
    return {};
  });
}

Result<void> compile(TaskRestore& task) {
  const pb::task_core_entry& tc = task.image.tc();
  if (tc.sigactions_size() != kEntries)
    return Error::bad_image(
        fmt::format("core: {} signal actions instead of {}", tc.sigactions_size(), kEntries));
  int entry = 0;
  for (int signal = 1; signal <= sys::kSignals; ++signal) {
    if (is_fixed(signal)) continue;
    const pb::sa_entry& in = tc.sigactions(entry++);
    if (in.compat_sigaction()) return Error::unsupported("signal actions of a 32-bit task");
    // Also the default ones: what we were told to ignore (nohup) the task would ignore too, for
    // CLONE_CLEAR_SIGHAND spares that.
    Batch& batch = task.plan.calls(Phase::task);
    const sys::KernelSigaction action{in.sigaction(), in.flags(), in.restorer(), in.mask()};
    batch.call(SYS_rt_sigaction, signal, batch.put(action), 0, sizeof(sys::SigSet));
  }
  return {};
}

}  // namespace

const TaskKind sigactions_kind = {.name = "sigactions", .ask = ask, .compile = compile};

}  // namespace cryo
