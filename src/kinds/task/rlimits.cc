// Resource limits, setrlimit(2): shared by all threads.
//
// Another process' limits are hidden from whoever has other ids and no CAP_SYS_RESOURCE, so the task reads and sets
// its own. A hard limit goes up only with that capability, and only before the credentials change.
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "kinds/all.h"
#include "sys/capability.h"
#include "sys/process.h"

namespace cryo {
namespace {

constexpr std::array kNames = {"cpu",      "fsize",  "data",    "stack", "core",  "rss",
                               "nproc",    "nofile", "memlock", "as",    "locks", "sigpending",
                               "msgqueue", "nice",   "rtprio",  "rttime"};
constexpr int kLimits = static_cast<int>(kNames.size());

Result<Answer> ask(TaskCapture& task, Batch& batch) {
  std::vector<Data> limits;
  for (int resource = 0; resource < kLimits; ++resource) {
    limits.push_back(batch.reserve(sizeof(struct rlimit64)));
    batch.call(SYS_prlimit64, 0, resource, 0, limits.back());
  }
  return Answer([&task, limits](const Outcome& outcome) -> Result<void> {
    for (const Data& at : limits) {
      const struct rlimit64 limit = outcome.get<struct rlimit64>(at);
      pb::rlimit_entry& entry = *task.image.mutable_tc().mutable_rlimits()->add_rlimits();
      entry.set_cur(limit.rlim_cur);
      entry.set_max(limit.rlim_max);
    }
    return {};
  });
}

void set(Batch& batch, int resource, const struct rlimit64& limit) {
  batch.call(SYS_prlimit64, 0, resource, batch.put(limit), 0);
}

// As far up as they may go while the task is being made: it may have more descriptors open, more memory locked or
// mapped than its own limits would allow today, or than ours do.
struct rlimit64 limit_while_restoring(const struct rlimit64& ours, uint64_t wanted,
                                      bool may_raise) {
  const uint64_t hard = may_raise ? std::max<uint64_t>(ours.rlim_max, wanted) : ours.rlim_max;
  return {hard, hard};
}

Result<void> compile(TaskRestore& task) {
  const pb::task_rlimits_entry& wanted = task.image.tc().rlimits();
  if (wanted.rlimits_size() > kLimits)
    return Error::bad_image(fmt::format("core: {} resource limits", wanted.rlimits_size()));
  const uint64_t capabilities = TRY(sys::effective_capabilities());
  const bool may_raise = (capabilities >> CAP_SYS_RESOURCE & 1) != 0;
  for (int resource = 0; resource < wanted.rlimits_size(); ++resource) {
    const pb::rlimit_entry& entry = wanted.rlimits(resource);
    const struct rlimit64 ours = TRY(sys::get_rlimit(Pid{0}, resource));
    const struct rlimit64 meanwhile = limit_while_restoring(ours, entry.max(), may_raise);
    if (meanwhile.rlim_cur != ours.rlim_cur || meanwhile.rlim_max != ours.rlim_max)
      set(task.plan.calls(Phase::map), resource, meanwhile);
    if (entry.max() > meanwhile.rlim_max)
      task.restore.log.warn("The hard limit {} of {} can only be {} instead of {}",
                            kNames[static_cast<size_t>(resource)], task.image.pid(),
                            meanwhile.rlim_max, entry.max());
    const struct rlimit64 limit {
      std::min<uint64_t>({entry.cur(), entry.max(), meanwhile.rlim_max}),
          std::min<uint64_t>(entry.max(), meanwhile.rlim_max)
    };
    // The coordinator may raise that of descriptors after this, and the task inherits it.
    if (limit.rlim_cur != meanwhile.rlim_cur || limit.rlim_max != meanwhile.rlim_max ||
        resource == RLIMIT_NOFILE)
      set(task.plan.calls(Phase::late), resource, limit);
  }
  return {};
}

}  // namespace

const TaskKind rlimits_kind = {.name = "resource limits", .ask = ask, .compile = compile};

}  // namespace cryo
