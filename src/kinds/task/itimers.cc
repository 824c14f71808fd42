// Interval timers of a process: getitimer(2), setitimer(2), alarm(2).
//
// The kernel tells the time that is left, so time spent in the image does not count. An ITIMER_REAL with an
// interval stands still with nothing left while its SIGALRM is pending.
#include "kinds/all.h"

#include <sys/syscall.h>
#include <sys/time.h>

namespace cryo {
namespace {

constexpr uint64_t kMicroseconds = 1'000'000;

struct Clock {
  int which;
  pb::itimer_entry* (pb::task_timers_entry::*mutate)();
  const pb::itimer_entry& (pb::task_timers_entry::*get)() const;
};
const Clock kClocks[] = {
    {ITIMER_REAL, &pb::task_timers_entry::mutable_real, &pb::task_timers_entry::real},
    {ITIMER_VIRTUAL, &pb::task_timers_entry::mutable_virt, &pb::task_timers_entry::virt},
    {ITIMER_PROF, &pb::task_timers_entry::mutable_prof, &pb::task_timers_entry::prof},
};

Result<Answer> ask(TaskCapture& task, Batch& batch) {
  std::vector<Data> values;
  for (const Clock& clock : kClocks) {
    values.push_back(batch.reserve(sizeof(itimerval)));
    batch.call(SYS_getitimer, clock.which, values.back());
  }
  return Answer([&task, values](const Outcome& outcome) -> Result<void> {
    for (size_t i = 0; i < values.size(); ++i) {
      const itimerval value = outcome.get<itimerval>(values[i]);
      pb::itimer_entry& out = *(task.image.mutable_tc().mutable_timers()->*kClocks[i].mutate)();
      out.set_isec(static_cast<uint64_t>(value.it_interval.tv_sec));
      out.set_iusec(static_cast<uint64_t>(value.it_interval.tv_usec));
      out.set_vsec(static_cast<uint64_t>(value.it_value.tv_sec));
      out.set_vusec(static_cast<uint64_t>(value.it_value.tv_usec));
    }
    return {};
  });
}

Result<void> compile(TaskRestore& task) {
  const pb::task_timers_entry& timers = task.image.tc().timers();
  for (const Clock& clock : kClocks) {
    const pb::itimer_entry& in = (timers.*clock.get)();
    if (in.iusec() >= kMicroseconds || in.vusec() >= kMicroseconds)
      return Error::bad_image("core: an interval timer has a million microseconds or more");
    itimerval value{};
    value.it_interval.tv_sec = static_cast<time_t>(in.isec());
    value.it_interval.tv_usec = static_cast<suseconds_t>(in.iusec());
    value.it_value.tv_sec = static_cast<time_t>(in.vsec());
    value.it_value.tv_usec = static_cast<suseconds_t>(in.vusec());
    // With nothing left the kernel would forget the interval; a second SIGALRM next to the pending one is
    // dropped anyway.
    if (!timerisset(&value.it_value)) value.it_value = value.it_interval;
    if (!timerisset(&value.it_value)) continue;
    Batch& batch = task.plan.calls(Phase::arm);
    batch.call(SYS_setitimer, clock.which, batch.put(value), 0);
  }
  return {};
}

}  // namespace

const TaskKind itimers_kind = {.name = "interval timers", .ask = ask, .compile = compile};

}  // namespace cryo
