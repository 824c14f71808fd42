// What a process has registered for with membarrier(2), as the mask that MEMBARRIER_CMD_GET_REGISTRATIONS (6.3)
// gives: the bits are the registering commands themselves.
#include "kinds/all.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>

namespace cryo {
namespace {

constexpr int kGetRegistrations = 1 << 9;
constexpr uint32_t kRegistering = MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED |
                                  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
                                  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE |
                                  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ;

Result<Answer> ask(TaskCapture& task, Batch& batch) {
  const uint32_t call = batch.size();
  batch.call(SYS_membarrier, kGetRegistrations, 0, 0).any_result();
  return Answer([&task, call](const Outcome& outcome) -> Result<void> {
    const int64_t mask = outcome.result(call);
    if (mask > 0)
      task.image.mutable_tc().set_membarrier_registration_mask(static_cast<uint32_t>(mask));
    return {};
  });
}

Result<void> compile(TaskRestore& task) {
  const uint32_t mask = task.image.tc().membarrier_registration_mask();
  if ((mask & ~kRegistering) != 0)
    return Error::unsupported(fmt::format("membarrier registrations {:#x}", mask & ~kRegistering));
  for (uint32_t command = 1; command != 0 && command <= mask; command <<= 1)
    if ((mask & command) != 0) task.plan.calls(Phase::task).call(SYS_membarrier, command, 0, 0);
  return {};
}

}  // namespace

const TaskKind membarrier_kind = {
    .name = "membarrier registrations", .ask = ask, .compile = compile};

}  // namespace cryo
