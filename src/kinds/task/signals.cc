// Pending signals: the queue that the threads of a process share and the one of each thread, with their siginfo.
//
// PTRACE_PEEKSIGINFO (3.10) reads the queues without taking anything. A task may send itself a siginfo of any
// si_code (rt_sigqueueinfo(2), rt_tgsigqueueinfo(2)); others may not.
//
// The queues are read twice: before anything else, and again when the puppet has left. What came in meanwhile was
// sent to this process and belongs in the image; and a timer that ran out after it was read must not run out again.
#include "kinds/all.h"

#include <sys/syscall.h>

#include <csignal>
#include <cstring>
#include <set>

#include "sys/ptrace.h"

namespace cryo {
namespace {

void encode(const std::vector<siginfo_t>& queue, pb::signal_queue_entry& out) {
  out.clear_signals();
  for (const siginfo_t& info : queue) out.add_signals()->set_siginfo(&info, sizeof(info));
}

// Also for processes without pending signals the messages are there: empty.
Result<void> capture(TaskCapture& task) {
  const std::vector<siginfo_t> shared =
      TRY(sys::ptrace_pending_signals(task.threads.front().task.tid(), true));
  encode(shared, *task.image.mutable_tc().mutable_signals_s());
  for (size_t i = 0; i < task.threads.size(); ++i) {
    std::vector<siginfo_t> own;
    if (task.statuses[i].sig_pending != 0)
      own = TRY(sys::ptrace_pending_signals(task.threads[i].task.tid(), false));
    encode(own, *task.image.threads[i].core.mutable_thread_core()->mutable_signals_p());
  }
  return {};
}

struct TimerSignals {
  std::set<uint32_t> posix;  // ids
  bool alarm = false;
};

void find_timer_signals(const pb::signal_queue_entry& queue, TimerSignals& found) {
  for (const pb::siginfo_entry& entry : queue.signals()) {
    siginfo_t info{};
    std::memcpy(&info, entry.siginfo().data(), std::min(sizeof(info), entry.siginfo().size()));
    if (info.si_code == SI_TIMER) found.posix.insert(static_cast<uint32_t>(info.si_timerid));
    if (info.si_signo == SIGALRM && info.si_code == SI_KERNEL) found.alarm = true;
  }
}

TimerSignals timer_signals(const TaskImage& image) {
  TimerSignals found;
  find_timer_signals(image.tc().signals_s(), found);
  for (const ThreadImage& thread : image.threads)
    find_timer_signals(thread.core.thread_core().signals_p(), found);
  return found;
}

void clear(pb::itimer_entry& timer) {
  timer.set_vsec(0);
  timer.set_vusec(0);
}

// The timers whose signal came in since the first look; those with an interval go on with it anyway.
void disarm_fired(pb::task_timers_entry& timers, const TimerSignals& before,
                  const TimerSignals& after) {
  if (after.alarm && !before.alarm) clear(*timers.mutable_real());
  for (pb::posix_timer_entry& timer : *timers.mutable_posix()) {
    if (!after.posix.contains(timer.it_id()) || before.posix.contains(timer.it_id())) continue;
    timer.set_vsec(0);
    timer.set_vnsec(0);
  }
}

Result<void> look_again(TaskCapture& task) {
  const TimerSignals before = timer_signals(task.image);
  TRY(capture(task));
  if (task.image.tc().has_timers())
    disarm_fired(*task.image.mutable_tc().mutable_timers(), before, timer_signals(task.image));
  return {};
}

Result<void> send_queue(TaskRestore& task, size_t thread, const pb::signal_queue_entry& queue,
                        bool shared) {
  for (const pb::siginfo_entry& entry : queue.signals()) {
    if (entry.siginfo().size() != sizeof(siginfo_t))
      return Error::bad_image(fmt::format("core: a siginfo of {} bytes", entry.siginfo().size()));
    siginfo_t info{};
    std::memcpy(&info, entry.siginfo().data(), sizeof(info));
    if (info.si_signo < 1 || info.si_signo > sys::kSignals || info.si_signo == SIGKILL)
      return Error::bad_image(fmt::format("core: pending signal {}", info.si_signo));
    // No mask holds a SIGSTOP back: it would stop the half-made task. The engine stops it at the end.
    if (info.si_signo == SIGSTOP) continue;
    Batch& batch = task.plan.calls(Phase::signals, thread);
    const Data data = batch.put(info);
    const int32_t pid = task.image.pid().value;
    if (shared)
      batch.call(SYS_rt_sigqueueinfo, pid, info.si_signo, data);
    else
      batch.call(SYS_rt_tgsigqueueinfo, pid, task.image.threads[thread].tid.value, info.si_signo,
                 data);
  }
  return {};
}

Result<void> compile(TaskRestore& task) {
  TRY(send_queue(task, 0, task.image.tc().signals_s(), true));
  for (size_t i = 0; i < task.image.threads.size(); ++i)
    TRY(send_queue(task, i, task.image.threads[i].core.thread_core().signals_p(), false));
  return {};
}

}  // namespace

const TaskKind signals_kind = {
    .name = "pending signals", .capture = capture, .look_again = look_again, .compile = compile};

}  // namespace cryo
