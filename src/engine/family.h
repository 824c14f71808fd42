// How the processes of a tree come to be again: who is forked by whom, and when they make sessions and process groups.
//
// A session is only ever inherited, so it decides who forks whom and when: what was in the session of its parent before
// that made one of its own has to be forked before. A session or process group whose leader has ended is made by a
// helper under the leader's number, which ends when everybody is in it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pstree.pb.h"

namespace cryo {

// One process to be born. It makes its own calls, in order; the numbers are indexes in Family::members.
struct Member {
  struct Step {
    enum class What : uint8_t { fork, sibling, setsid } what;
    size_t whom = 0;  // is forked, or made a child of our own parent
  };
  uint32_t pid;
  std::optional<size_t> node;    // which of the tree's; none: a helper, which ends in the end
  std::optional<size_t> parent;  // the member whose child it is; none: the root
  std::vector<Step> steps;
};

struct Family {
  std::vector<Member> members;  // the root first, everybody after the one that makes it
  // Calls of setpgid, when all members are there, in order.
  struct Group {
    size_t member;
    uint32_t pgid;
  };
  std::vector<Group> groups;

  std::string describe() const;
};

// `nodes`: parents before children, the root first.
// Errors: bad_image when they are no tree; unsupported when a session or group cannot be made again.
Result<Family> plan_family(const std::vector<pb::pstree_entry>& nodes);

}  // namespace cryo
