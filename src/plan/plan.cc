#include "plan/plan.h"

#include <algorithm>

namespace cryo {

Batch& TaskPlan::calls(Phase phase, size_t index) {
  CHECK(index < threads_);
  CHECK(index == 0 || phase >= Phase::thread);
  std::vector<Batch>& all = steps(phase).calls;
  if (all.size() <= index) all.resize(index + 1);
  return all[index];
}

void TaskPlan::host(Phase phase, std::string what,
                    std::function<Result<void>(TaskStage&)> perform) {
  steps(phase).host.push_back({std::move(what), std::move(perform)});
}

void TaskPlan::join_waits() {
  const auto idle_between = [this](size_t index) {
    for (auto p = static_cast<size_t>(Phase::thread) + 1; p < static_cast<size_t>(Phase::wait); ++p)
      if (index < phases_[p].calls.size() && !phases_[p].calls[index].empty()) return false;
    return true;
  };
  std::vector<Batch>& waits = steps(Phase::wait).calls;
  for (size_t i = 1; i < waits.size(); ++i) {
    if (waits[i].empty() || !idle_between(i)) continue;
    calls(Phase::thread, i).append(waits[i]);
    waits[i] = Batch();
  }
}

bool TaskPlan::PhaseSteps::empty() const {
  return host.empty() && std::ranges::all_of(calls, [](const Batch& b) { return b.empty(); });
}

uint64_t TaskPlan::largest_leader_batch() const {
  uint64_t most = 0;
  for (const PhaseSteps& phase : phases_)
    if (!phase.calls.empty()) most = std::max(most, phase.calls.front().bytes());
  return most;
}

uint64_t TaskPlan::largest_thread_batch() const {
  uint64_t most = 0;
  for (const PhaseSteps& phase : phases_)
    for (size_t i = 1; i < phase.calls.size(); ++i) most = std::max(most, phase.calls[i].bytes());
  return most;
}

std::string TaskPlan::describe() const {
  std::string text;
  for (size_t p = 0; p < kPhases; ++p) {
    const PhaseSteps& phase = phases_[p];
    if (phase.empty()) continue;
    text += fmt::format("{}:\n", kPhaseNames[p]);
    for (size_t thread = 0; thread < phase.calls.size(); ++thread)
      for (uint32_t i = 0; i < phase.calls[thread].size(); ++i)
        text += thread == 0
                    ? fmt::format("  {}\n", phase.calls[thread].describe(i))
                    : fmt::format("  [thread {}] {}\n", thread, phase.calls[thread].describe(i));
    for (const HostStep& step : phase.host) text += fmt::format("  cryo: {}\n", step.what);
  }
  return text;
}

}  // namespace cryo
