// What can happen to a victim at each of its checkpoints.
#pragma once

#include <string>
#include <vector>

namespace cryo::live {

enum class By { cryo, peer };

// Dump and restore. With leave_running the dumped process is left as it is, and goes on; with
// kill_running the same, but it is killed afterwards and its image restored.
struct Step {
  By dump = By::cryo;
  By restore = By::cryo;
  enum class Kind {
    restart,
    leave_running,
    kill_running,
    refused_dump,
    refused_restore
  } kind = Kind::restart;
};

struct Variant {
  std::string name;
  std::vector<Step> steps;  // all of them, one after the other, at every checkpoint
  bool by_cryo_alone() const;
};

// off                  nothing happens: shows that the test itself is right
// restore              dump, kill, restore
// leave_running        dump --leave-running, twice; it goes on
// restore_left         dump --leave-running; it is killed after that and restored
// twice                dump and restore, and again what was restored
// peer_restores_ours   cryo dumps, CRIU restores
// we_restore_peers     CRIU dumps, cryo restores
const std::vector<Variant>& usual_variants();
// For whole programs: restore, leave_running, the two with the peer, and
// twenty_times         restore, twenty times in a row; the program works in between
const std::vector<Variant>& program_variants();
const std::vector<Variant>& dump_refusal_variants();
const std::vector<Variant>& restore_refusal_variants();

}  // namespace cryo::live
