// The phases of a restore, in the order in which they happen. The order of side effects on a process *is* the
// program; whoever needs something to come earlier or later says so by its phase.
//
// Within a phase: first the leader's calls, then those of the other threads, then the steps of the
// coordinator, each in the order in which the kinds added them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace cryo {

enum class Phase : uint8_t {
  map,      // the mappings appear, writable where pages will be filled in
  fill,     // page contents
  protect,  // final protections, advice, locks; the vDSO goes to its place
  mm,       // addresses of code, heap, stack, arguments; auxv; exe
  fs,       // cwd, root, umask
  files,    // the fd table; the staged descriptors are gone afterwards
  task,     // process-wide: signal actions, timers (not running yet), prctls
  spawn,    // the other threads appear
  thread,   // of each thread: TLS-related addresses, name, scheduling, rseq
  signals,  // pending ones (everything is still blocked)
  seccomp,  // of each thread: filters (not in force before the task is let go)
  creds,    // of each thread: ids, capabilities, securebits
  late,  // what changes of credentials would reset: dumpable, parent-death signal; resource limits
  arm,   // timers run from here
  wait,  // of each thread: one call at most, which does not return: waits that had a part of their time left (but see
         // TaskPlan::join_waits)
};
constexpr size_t kPhases = static_cast<size_t>(Phase::wait) + 1;

constexpr std::array<const char*, kPhases> kPhaseNames = {
    "map",    "fill",    "protect", "mm",    "fs",   "files", "task", "spawn",
    "thread", "signals", "seccomp", "creds", "late", "arm",   "wait"};

constexpr const char* name_of(Phase phase) { return kPhaseNames[static_cast<size_t>(phase)]; }

}  // namespace cryo
