// Deterministic kill points: the proof that a dump never harms its target.
//
// kill_point() stands before and after every step that touches another live process: ptrace calls,
// writes to its memory, posts and wakes of its puppet. With CRYO_KILL_AT=N in the environment the
// process kills itself at the N-th of them, as an out-of-memory kill would. Tests run through all N.
#pragma once

namespace cryo {

void kill_point();

}  // namespace cryo
