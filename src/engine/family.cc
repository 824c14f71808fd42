#include "engine/family.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace cryo {
namespace {

using What = Member::Step::What;

// Deeper than any tree of processes, and not too deep to be walked by recursion.
constexpr size_t kMostDepth = 2000;

class Planner {
 public:
  explicit Planner(const std::vector<pb::pstree_entry>& nodes) : nodes_(&nodes) {}

  Result<Family> plan() {
    TRY(find_children());
    needs_.resize(nodes_->size());
    for (size_t i = nodes_->size(); i-- > 0;) needs_[i] = needed_session(i);
    // A root that leads no session, as with --shell-job, lives in that of the restore, whatever its number.
    TRY(bear(0, std::nullopt, needs_[0]));
    TRY(plan_groups());
    return std::move(family_);
  }

 private:
  using Session = std::optional<uint32_t>;
  const pb::pstree_entry& node(size_t i) const { return (*nodes_)[i]; }

  Result<void> find_children() {
    children_.resize(nodes_->size());
    std::vector<size_t> depth(nodes_->size());
    for (size_t i = 0; i < nodes_->size(); ++i) {
      if (!by_pid_.emplace(node(i).pid(), i).second)
        return Error::bad_image(fmt::format("pstree: {} is there twice", node(i).pid()));
      if (i == 0 && node(i).ppid() == 0) continue;
      const auto parent = by_pid_.find(node(i).ppid());
      if (i == 0 || parent == by_pid_.end() || parent->second == i)
        return Error::bad_image(fmt::format("pstree: the parent {} of {} is not in front of it",
                                            node(i).ppid(), node(i).pid()));
      depth[i] = depth[parent->second] + 1;
      if (depth[i] > kMostDepth)
        return Error::unsupported(fmt::format("more than {} generations", kMostDepth));
      children_[parent->second].push_back(i);
    }
    return {};
  }

  // The one that a process has to be born in; none: whichever. Those of its children are known.
  Session needed_session(size_t i) const {
    if (node(i).sid() != node(i).pid()) return node(i).sid();
    // It had children before it led a session. (Those of a session whose leader is dead can be made at any time.)
    for (const size_t child : children_[i])
      if (needs_[child] && comes_from_above(*needs_[child], i)) return needs_[child];
    return std::nullopt;
  }

  // Whether a session can be that of the node's birth.
  bool comes_from_above(uint32_t session, size_t i) const {
    if (!by_pid_.contains(session)) return session == node(0).sid();
    while (i != 0) {
      i = by_pid_.at(node(i).ppid());
      if (node(i).pid() == session) return true;
    }
    return false;
  }

  bool is_led_by_dead(uint32_t session) const {
    return !by_pid_.contains(session) && session != node(0).sid();
  }

  size_t add_member(uint32_t pid, std::optional<size_t> node, std::optional<size_t> parent) {
    family_.members.push_back({pid, node, parent, {}});
    return family_.members.size() - 1;
  }

  void add_step(size_t member, What what, size_t whom = 0) {
    family_.members[member].steps.push_back({what, whom});
  }

  // Adds the node, born in `session`, and all below it.
  Result<void> bear(size_t i, std::optional<size_t> parent, Session session) {
    const size_t self = add_member(node(i).pid(), i, parent);
    std::vector<size_t> rest = children_[i];
    const auto bear_those = [&](bool whatever) -> Result<void> {
      std::vector<size_t> left;
      for (const size_t child : rest) {
        const Session& needed = needs_[child];
        if (needed ? needed != session : !whatever) {
          left.push_back(child);
          continue;
        }
        add_step(self, What::fork, family_.members.size());
        TRY(bear(child, self, session));
      }
      rest = std::move(left);
      return {};
    };
    if (node(i).sid() == node(i).pid()) {
      TRY(bear_those(false));
      add_step(self, What::setsid);
      session = node(i).pid();
    }
    TRY(bear_those(true));
    return adopt(self, rest);
  }

  // Children whose sessions `self` never was in: helpers make these sessions again.
  Result<void> adopt(size_t self, const std::vector<size_t>& orphans) {
    std::map<uint32_t, size_t> helpers;
    for (const size_t child : orphans) {
      const uint32_t session = *needs_[child];
      if (!helpers.contains(session)) {
        if (!is_led_by_dead(session) || !helped_.insert(session).second)
          return Error::unsupported(
              fmt::format("process {} is in session {}, but its parent {} never was in it",
                          node(child).pid(), session, family_.members[self].pid));
        helpers[session] = family_.members.size();
        add_step(self, What::fork, family_.members.size());
        const size_t helper = add_member(session, std::nullopt, self);
        add_step(helper, What::setsid);
      }
      add_step(helpers[session], What::sibling, family_.members.size());
      TRY(bear(child, self, session));
    }
    return {};
  }

  // The groups that all have by inheritance.
  std::vector<uint32_t> inherited_groups() const {
    std::vector<uint32_t> groups(family_.members.size());
    groups[0] = node(0).pgid() == node(0).pid() ? 0 : node(0).pgid();
    for (size_t i = 0; i < family_.members.size(); ++i)
      for (const Member::Step& step : family_.members[i].steps) {
        if (step.what == What::setsid)
          groups[i] = family_.members[i].pid;
        else
          groups[step.whom] = groups[i];
      }
    return groups;
  }

  // First the groups appear, then others join them, at last those who led one and are in another now.
  Result<void> plan_groups() {
    std::vector<uint32_t> now = inherited_groups();
    std::map<uint32_t, size_t> members;
    for (size_t i = 0; i < family_.members.size(); ++i) members[family_.members[i].pid] = i;
    std::vector<Family::Group> joining;
    const size_t count = family_.members.size();
    std::set<uint32_t> wanted;
    for (size_t i = 0; i < count; ++i) {
      const std::optional<size_t> at = family_.members[i].node;
      if (!at || now[i] == node(*at).pgid()) continue;
      const uint32_t group = node(*at).pgid();
      if (node(*at).sid() == node(*at).pid())
        return Error::bad_image(fmt::format("pstree: the session leader {} is in process group {}",
                                            node(*at).pid(), group));
      wanted.insert(group);
      if (!members.contains(group)) {
        if (group == node(0).pgid())
          return Error::unsupported(
              fmt::format("process {} is in process group {}, which is "
                          "outside of the tree",
                          node(*at).pid(), group));
        // Its leader has ended.
        add_step(i, What::fork, family_.members.size());
        members[group] = add_member(group, std::nullopt, i);
        now.push_back(0);
      }
      if (group != family_.members[i].pid) joining.push_back({i, group});
    }
    std::stable_partition(joining.begin(), joining.end(), [&](const Family::Group& one) {
      return !wanted.contains(family_.members[one.member].pid);
    });
    for (const uint32_t group : wanted)
      if (now[members[group]] != group) family_.groups.push_back({members[group], group});
    family_.groups.insert(family_.groups.end(), joining.begin(), joining.end());
    return {};
  }

  const std::vector<pb::pstree_entry>* nodes_;
  std::map<uint32_t, size_t> by_pid_;
  std::vector<std::vector<size_t>> children_;
  std::vector<Session> needs_;
  std::set<uint32_t> helped_;  // sessions that have had their helper
  Family family_;
};

}  // namespace

Result<Family> plan_family(const std::vector<pb::pstree_entry>& nodes) {
  if (nodes.empty()) return Error::bad_image("pstree: there is no process");
  return Planner(nodes).plan();
}

std::string Family::describe() const {
  std::string text;
  for (const Member& member : members) {
    for (const Member::Step& step : member.steps) {
      const Member& whom = members[step.whom];
      const std::string who = fmt::format("{}{}", whom.node ? "" : "helper ", whom.pid);
      if (step.what == What::setsid)
        text += fmt::format("  {}: setsid()\n", member.pid);
      else if (step.what == What::fork)
        text += fmt::format("  {}: fork {}\n", member.pid, who);
      else
        text += fmt::format("  {}: fork {} as a child of its own parent\n", member.pid, who);
    }
  }
  for (const Group& group : groups)
    text += fmt::format("  {}: setpgid(0, {})\n", members[group.member].pid, group.pgid);
  return text;
}

}  // namespace cryo
