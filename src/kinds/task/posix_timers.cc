// POSIX timers: timer_create(2) and its relatives.
//
// /proc/PID/timers (3.10) lists them with their notification, timer_gettime(2) tells the time that is left. Two
// things are hidden. Whether a timer was armed with an absolute time: it gets the time that was left, as all
// timers do. And whose CPU clock it runs on when it was created with CLOCK_THREAD_CPUTIME_ID: the list shows a
// clock without a tid. Only that thread's running moves the timer, so each thread asks twice, while no other one runs.
//
// timer_getoverrun(2) tells how often the timer had expired when its last signal was taken. No call sets it, and
// timer_settime(2) forgets it. So such a timer is armed in the past, when that last signal was due, and the signal taken: the
// kernel counts the periods since, and the next one is when it would have been. A signal that still waits comes back with
// the number it was queued with, 0: how many periods it already stands for is not known from outside.
//
// Exact ids need PR_TIMER_CREATE_RESTORE_IDS (6.15). Before, a new process counts its ids from 0, and the gaps
// are made by creating and deleting.
#include "kinds/all.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <csignal>
#include <ctime>

#include "sys/process.h"

namespace cryo {
namespace {

constexpr uint64_t kNanoseconds = 1'000'000'000;
// make_thread_cpuclock(0, CPUCLOCK_SCHED): the CPU time of the thread that made the timer.
constexpr int32_t kOwnThreadClock = -2;
constexpr size_t kMostAsked = 32;  // by each thread: their batches are small

bool is_armed(const itimerspec& time) {
  return time.it_value.tv_sec != 0 || time.it_value.tv_nsec != 0;
}

uint64_t nanoseconds(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * kNanoseconds + static_cast<uint64_t>(time.tv_nsec);
}

pb::posix_timer_entry encode(const procfs::PosixTimer& timer, const itimerspec& time,
                             int64_t overrun) {
  pb::posix_timer_entry out;
  out.set_it_id(static_cast<uint32_t>(timer.id));
  out.set_clock_id(static_cast<uint32_t>(timer.clock));
  out.set_si_signo(static_cast<uint32_t>(timer.signal));
  out.set_it_sigev_notify(static_cast<uint32_t>(timer.notify));
  out.set_sival_ptr(timer.value);
  out.set_overrun(static_cast<uint32_t>(overrun));
  out.set_isec(static_cast<uint64_t>(time.it_interval.tv_sec));
  out.set_insec(static_cast<uint64_t>(time.it_interval.tv_nsec));
  out.set_vsec(static_cast<uint64_t>(time.it_value.tv_sec));
  out.set_vnsec(static_cast<uint64_t>(time.it_value.tv_nsec));
  if ((timer.notify & SIGEV_THREAD_ID) != 0) out.set_notify_thread_id(timer.target);
  return out;
}

Result<Answer> ask(TaskCapture& task, Batch& batch) {
  struct Asked {
    procfs::PosixTimer timer;
    Data time;
    uint32_t overrun;  // number of the call
  };
  std::vector<procfs::PosixTimer> timers = TRY(task.proc.timers());
  std::ranges::sort(timers, {}, &procfs::PosixTimer::id);
  std::vector<Asked> asked;
  for (const procfs::PosixTimer& timer : timers) {
    const Data time = batch.reserve(sizeof(itimerspec));
    batch.call(SYS_timer_gettime, timer.id, time);
    asked.push_back({timer, time, batch.size()});
    batch.call(SYS_timer_getoverrun, timer.id);
  }
  return Answer([&task, asked](const Outcome& outcome) -> Result<void> {
    for (const Asked& a : asked)
      *task.image.mutable_tc().mutable_timers()->add_posix() =
          encode(a.timer, outcome.get<itimerspec>(a.time), outcome.result(a.overrun));
    return {};
  });
}

Result<Answer> ask_thread(ThreadCapture& thread, Batch& batch) {
  struct Asked {
    int32_t id;
    Data first, second;
  };
  std::vector<Asked> asked;
  // The leader's answers are there when the other threads are asked, but not when it is asked itself; and a
  // timer that no other thread claims is its own.
  if (thread.index != 0) {
    for (const pb::posix_timer_entry& timer : thread.task.image.tc().timers().posix()) {
      if (static_cast<int32_t>(timer.clock_id()) != kOwnThreadClock || asked.size() == kMostAsked)
        continue;
      const auto id = static_cast<int32_t>(timer.it_id());
      const Data first = batch.reserve(sizeof(itimerspec));
      const Data second = batch.reserve(sizeof(itimerspec));
      batch.call(SYS_timer_gettime, id, first);
      batch.call(SYS_timer_gettime, id, second);
      asked.push_back({id, first, second});
    }
  }
  pb::cryo_thread_entry* extra = &thread.image().extra;
  return Answer([asked, extra](const Outcome& outcome) -> Result<void> {
    for (const Asked& a : asked) {
      const itimerspec first = outcome.get<itimerspec>(a.first),
                       second = outcome.get<itimerspec>(a.second);
      if (nanoseconds(first.it_value) != nanoseconds(second.it_value))
        extra->mutable_own_clock_timers()->add_ids(static_cast<uint32_t>(a.id));
    }
    return {};
  });
}

bool has_own_clock_timers(const TaskCapture& task) {
  return std::ranges::any_of(task.image.tc().timers().posix(),
                             [](const pb::posix_timer_entry& timer) {
                               return static_cast<int32_t>(timer.clock_id()) == kOwnThreadClock;
                             });
}

bool adopt_thread(ThreadCapture& thread, const ThreadImage&) {
  return !has_own_clock_timers(thread.task);
}

size_t creator(const TaskImage& image, uint32_t id) {
  for (size_t i = 1; i < image.threads.size(); ++i)
    for (const uint32_t own : image.threads[i].extra.own_clock_timers().ids())
      if (own == id) return i;
  return 0;
}

sigevent event_of(const pb::posix_timer_entry& timer) {
  sigevent event{};
  event.sigev_value.sival_ptr = reinterpret_cast<void*>(timer.sival_ptr());
  event.sigev_signo = static_cast<int>(timer.si_signo());
  event.sigev_notify = static_cast<int>(timer.it_sigev_notify());
  event._sigev_un._tid = timer.notify_thread_id();
  return event;
}

void create(Batch& batch, const pb::posix_timer_entry& timer, int32_t clock) {
  const Data event = batch.put(event_of(timer));
  const Data id = batch.put(timer.it_id());
  batch.call(SYS_timer_create, clock, event, id);
}

// Of thread `tid`, by name.
int32_t thread_clock(Tid tid) {
  return static_cast<int32_t>(static_cast<uint32_t>(~tid.value) << 3 | 6U);
}

// For kernels that choose the id themselves.
Result<void> create_with_id(TaskStage& stage, const pb::posix_timer_entry& timer, int32_t clock) {
  for (;;) {
    Batch batch;
    const Data id = batch.reserve(sizeof(uint32_t));
    batch.call(SYS_timer_create, clock, batch.put(event_of(timer)), id);
    const Outcome outcome = TRY(stage.leader.run_all(batch));
    const auto made = outcome.get<uint32_t>(id);
    if (made == timer.it_id()) return {};
    if (made > timer.it_id())
      return Error::unsupported(fmt::format(
          "POSIX timer {} cannot get its id back: the kernel is at {}", timer.it_id(), made));
    Batch undo;
    undo.call(SYS_timer_delete, made);
    TRY(stage.leader.run_all(undo));
  }
}

void create_counting(TaskRestore& task, std::vector<pb::posix_timer_entry> timers) {
  std::ranges::sort(timers, {}, &pb::posix_timer_entry::it_id);
  for (const pb::posix_timer_entry& timer : timers) {
    auto clock = static_cast<int32_t>(timer.clock_id());
    const size_t thread = creator(task.image, timer.it_id());
    if (clock == kOwnThreadClock && thread != 0)
      clock = thread_clock(task.image.threads[thread].tid);
    task.plan.host(
        Phase::thread, fmt::format("make POSIX timer {}", timer.it_id()),
        [timer, clock](TaskStage& stage) { return create_with_id(stage, timer, clock); });
  }
}

void create_exactly(TaskRestore& task, const pb::task_timers_entry& timers) {
  // The threads make theirs at the same time: switched on before, off after.
  task.plan.calls(Phase::task)
      .call(SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_ON, 0, 0, 0);
  for (const pb::posix_timer_entry& timer : timers.posix())
    create(task.plan.calls(Phase::thread, creator(task.image, timer.it_id())), timer,
           static_cast<int32_t>(timer.clock_id()));
  task.plan.calls(Phase::signals)
      .call(SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_OFF, 0, 0, 0);
}

constexpr bool is_cpu_clock(int32_t clock) {
  return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

// The thread that the timer's signals wait for; all are blocked now, and the leader takes those of the process.
std::optional<size_t> receiver(const TaskImage& image, const pb::posix_timer_entry& timer) {
  if (timer.si_signo() < 1 || timer.si_signo() >= _NSIG || timer.si_signo() == SIGKILL ||
      timer.si_signo() == SIGSTOP)
    return std::nullopt;
  if (timer.it_sigev_notify() == SIGEV_SIGNAL) return 0;
  if (timer.it_sigev_notify() != SIGEV_THREAD_ID) return std::nullopt;
  const auto named = [&](const ThreadImage& thread) {
    return thread.tid.value == timer.notify_thread_id();
  };
  const auto thread = std::ranges::find_if(image.threads, named);
  if (thread == image.threads.end()) return std::nullopt;
  return static_cast<size_t>(thread - image.threads.begin());
}

// How long before its next time it expired last; nothing if the clock did not run yet then.
std::optional<uint64_t> since_last(const pb::posix_timer_entry& timer, const itimerspec& time) {
  const uint64_t interval = nanoseconds(time.it_interval);
  timespec now{};
  uint64_t since = 0;
  if (__builtin_mul_overflow(interval, uint64_t{timer.overrun()} + 1, &since)) return std::nullopt;
  const auto clock = static_cast<int32_t>(timer.clock_id());
  if (is_cpu_clock(clock) || clock_gettime(clock, &now) != 0) return std::nullopt;
  return since < nanoseconds(now) ? std::optional(since) : std::nullopt;
}

// False where that cannot be done.
bool expire_again(TaskRestore& task, const pb::posix_timer_entry& timer, const itimerspec& time) {
  const std::optional<size_t> thread = receiver(task.image, timer);
  const std::optional<uint64_t> since = since_last(timer, time);
  if (!thread || !since || time.it_value.tv_sec > INT32_MAX) return false;
  task.plan.host(Phase::thread, fmt::format("let POSIX timer {} expire once more", timer.it_id()),
                 [id = timer.it_id(), clock = static_cast<int32_t>(timer.clock_id()), time,
                  since = *since](TaskStage& stage) -> Result<void> {
                   timespec now{};
                   (void)clock_gettime(clock, &now);
                   const uint64_t last = nanoseconds(now) + nanoseconds(time.it_value) - since;
                   itimerspec again = time;
                   again.it_value = {static_cast<time_t>(last / kNanoseconds),
                                     static_cast<long>(last % kNanoseconds)};
                   Batch batch;
                   batch.call(SYS_timer_settime, id, TIMER_ABSTIME, batch.put(again), 0);
                   TRY(stage.leader.run_all(batch));
                   return {};
                 });
  // Before others of the same number are pending.
  Batch& batch = task.plan.calls(Phase::signals, *thread);
  const Data set = batch.put(uint64_t{1} << (timer.si_signo() - 1));
  batch.call(SYS_rt_sigtimedwait, set, 0, batch.put(timespec{1, 0}), sizeof(uint64_t));
  return true;
}

Result<void> arm(TaskRestore& task, const pb::posix_timer_entry& timer) {
  if (timer.insec() >= kNanoseconds || timer.vnsec() >= kNanoseconds)
    return Error::bad_image(fmt::format(
        "core: POSIX timer {} has a thousand million nanoseconds or more", timer.it_id()));
  itimerspec time{};
  time.it_interval = {static_cast<time_t>(timer.isec()), static_cast<long>(timer.insec())};
  time.it_value = {static_cast<time_t>(timer.vsec()), static_cast<long>(timer.vnsec())};
  // An interval without a next time: it had just run out.
  if (!is_armed(time)) time.it_value = time.it_interval;
  if (!is_armed(time)) return {};
  if (timer.overrun() != 0 && nanoseconds(time.it_interval) != 0) {
    if (expire_again(task, timer, time)) return {};
    task.restore.log.warn("The {} overruns of POSIX timer {} cannot be restored, ignoring",
                          timer.overrun(), timer.it_id());
  }
  Batch& batch = task.plan.calls(Phase::arm);
  batch.call(SYS_timer_settime, timer.it_id(), 0, batch.put(time), 0);
  return {};
}

Result<void> compile(TaskRestore& task) {
  const pb::task_timers_entry& timers = task.image.tc().timers();
  if (timers.posix().empty()) return {};
  if (sys::prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET))
    create_exactly(task, timers);
  else
    create_counting(task, {timers.posix().begin(), timers.posix().end()});
  for (const pb::posix_timer_entry& timer : timers.posix()) TRY(arm(task, timer));
  return {};
}

}  // namespace

const TaskKind posix_timers_kind = {.name = "POSIX timers",
                                    .ask = ask,
                                    .ask_thread = ask_thread,
                                    .adopt_thread = adopt_thread,
                                    .one_at_a_time = has_own_clock_timers,
                                    .compile = compile};

}  // namespace cryo
