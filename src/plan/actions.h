// The moments of an operation at which the caller's scripts run (and RPC notifications are sent).
#pragma once

#include <cstdint>

namespace cryo {

enum class Action : uint8_t {
  pre_stream,
  pre_dump,          // before freezing
  network_lock,      // tasks frozen; only if a network namespace is dumped
  post_dump,         // images complete, tasks still frozen; a failure lets the tasks go on
  network_unlock,    // dump failing or leaving the tasks running; restore: before they resume
  pre_restore,       // before the first fork
  setup_namespaces,  // the root task's namespaces exist, mounts and network are not there yet
  post_setup_namespaces,
  post_restore,  // everything is restored, no task runs; a failure kills the tree
  pre_resume,    // a failure is only logged
  post_resume,   // a failure is only logged
};

// As in CRTOOLS_SCRIPT_ACTION: "post-dump".
const char* action_name(Action action);
// Whether the operation fails when a script does.
bool action_failure_counts(Action action);

}  // namespace cryo
