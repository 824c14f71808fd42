#include "plan/actions.h"

#include <array>

#include "base/result.h"

namespace cryo {
namespace {

struct Row {
  Action action;
  const char* name;
  bool failure_counts;
};

constexpr std::array<Row, 11> kActions = {{
    {Action::pre_stream, "pre-stream", true},
    {Action::pre_dump, "pre-dump", true},
    {Action::network_lock, "network-lock", true},
    {Action::post_dump, "post-dump", true},
    {Action::network_unlock, "network-unlock", true},
    {Action::pre_restore, "pre-restore", true},
    {Action::setup_namespaces, "setup-namespaces", true},
    {Action::post_setup_namespaces, "post-setup-namespaces", true},
    {Action::post_restore, "post-restore", true},
    {Action::pre_resume, "pre-resume", false},
    {Action::post_resume, "post-resume", false},
}};

const Row& row(Action action) {
  const Row& found = kActions[static_cast<size_t>(action)];
  CHECK(found.action == action);
  return found;
}

}  // namespace

const char* action_name(Action action) { return row(action).name; }
bool action_failure_counts(Action action) { return row(action).failure_counts; }

}  // namespace cryo
