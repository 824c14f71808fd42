#include "tests/harness/victim.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace cryo::live {
namespace {

// Longer than any test may take: a victim whose harness has died ends by itself.
constexpr std::chrono::minutes kAbandoned{5};

// Until the first checkpoint a victim dies with its harness. This must not be part of what is
// dumped, unless the body has asked for a signal of its own.
void stop_dying_with_parent() {
  int signal = 0;
  prctl(PR_GET_PDEATHSIG, &signal);
  if (signal == SIGKILL) prctl(PR_SET_PDEATHSIG, 0);
}

}  // namespace

Result<Victim> Victim::in(const std::string& directory) {
  return Victim(TRY(SharedPage::map(directory + "/sync")));
}

void Victim::checkpoint() {
  stop_dying_with_parent();
  SharedState& state = *shared_;
  state.checkpointer = gettid();
  const uint32_t mine = ++state.reached;
  futex_wake(state.reached);
  const Deadline abandoned = deadline_in(kAbandoned);
  while (state.released < mine) {
    futex_wait(state.released, mine - 1, kAbandoned);
    if (milliseconds_left(abandoned) == 0) _exit(124);
  }
}

void Victim::report(const testing::TestResult& result) {
  shared_->outcome = result.Failed()    ? Outcome::failed
                     : result.Skipped() ? Outcome::skipped
                                        : Outcome::passed;
  futex_wake(shared_->reached);
}

}  // namespace cryo::live
