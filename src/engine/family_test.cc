#include "engine/family.h"

#include <gtest/gtest.h>

namespace cryo {
namespace {

pb::pstree_entry node(uint32_t pid, uint32_t ppid, uint32_t pgid, uint32_t sid) {
  pb::pstree_entry entry;
  entry.set_pid(pid);
  entry.set_ppid(ppid);
  entry.set_pgid(pgid);
  entry.set_sid(sid);
  entry.add_threads(pid);
  return entry;
}

std::string plan(const std::vector<pb::pstree_entry>& nodes) {
  Result<Family> family = plan_family(nodes);
  return family ? family->describe() : family.error().message();
}

TEST(Family, one_session_leader) { EXPECT_EQ(plan({node(5, 0, 5, 5)}), "  5: setsid()\n"); }

TEST(Family, children_are_born_in_the_session_of_their_parent) {
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(6, 5, 5, 5), node(7, 6, 5, 5)}),
            "  5: setsid()\n  5: fork 6\n  6: fork 7\n");
}

TEST(Family, a_child_of_the_session_before_is_born_before) {
  // 6 forked 7, and began a session of its own after that.
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(6, 5, 6, 6), node(7, 6, 5, 5), node(8, 6, 6, 6)}),
            "  5: setsid()\n  5: fork 6\n  6: fork 7\n  6: setsid()\n  6: fork 8\n");
}

TEST(Family, a_grandchild_decides_when_its_parent_is_born) {
  // 6 is in a session of its own, 7 too, and 8 still in that from which 6 came.
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(6, 5, 6, 6), node(7, 6, 7, 7), node(8, 7, 5, 5)}),
            "  5: setsid()\n  5: fork 6\n  6: fork 7\n  6: setsid()\n  7: fork 8\n  7: setsid()\n");
}

TEST(Family, the_session_of_a_leader_that_has_ended_is_made_by_a_helper) {
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(7, 5, 6, 6), node(8, 5, 6, 6)}),
            "  5: setsid()\n  5: fork helper 6\n  6: setsid()\n"
            "  6: fork 7 as a child of its own parent\n  6: fork 8 as a child of its own parent\n");
}

TEST(Family, those_below_a_helped_session_are_born_in_it) {
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(7, 5, 6, 6), node(9, 7, 9, 9), node(10, 9, 6, 6)}),
            "  5: setsid()\n  5: fork helper 6\n  6: setsid()\n"
            "  6: fork 7 as a child of its own parent\n  7: fork 9\n  9: fork 10\n"
            "  9: setsid()\n");
}

TEST(Family, groups_appear_before_others_join_them) {
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(6, 5, 7, 5), node(7, 5, 7, 5)}),
            "  5: setsid()\n  5: fork 6\n  5: fork 7\n  7: setpgid(0, 7)\n  6: setpgid(0, 7)\n");
}

TEST(Family, a_leader_of_a_group_that_is_in_another_one_changes_last) {
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(6, 5, 7, 5), node(7, 5, 7, 5), node(8, 5, 6, 5)}),
            "  5: setsid()\n  5: fork 6\n  5: fork 7\n  5: fork 8\n  6: setpgid(0, 6)\n"
            "  7: setpgid(0, 7)\n  8: setpgid(0, 6)\n  6: setpgid(0, 7)\n");
}

TEST(Family, the_group_of_a_leader_that_has_ended_is_made_by_a_helper) {
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(7, 5, 6, 5), node(8, 5, 6, 5)}),
            "  5: setsid()\n  5: fork 7\n  5: fork 8\n  7: fork helper 6\n"
            "  6: setpgid(0, 6)\n  7: setpgid(0, 6)\n  8: setpgid(0, 6)\n");
}

TEST(Family, a_job_of_the_shell_stays_in_its_session) {
  EXPECT_EQ(plan({node(5, 0, 4, 3), node(6, 5, 4, 3)}), "  5: fork 6\n");
  EXPECT_EQ(plan({node(5, 0, 5, 3), node(6, 5, 5, 3)}),
            "  5: fork 6\n  5: setpgid(0, 5)\n  6: setpgid(0, 5)\n");
}

TEST(Family, what_cannot_be_made_is_refused) {
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(6, 5, 6, 6), node(7, 5, 6, 6)}),
            "process 7 is in session 6, but its parent 5 never was in it");
  // The session of a dead leader has members below two processes of other sessions.
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(7, 5, 7, 7), node(8, 5, 8, 8), node(9, 7, 6, 6),
                  node(10, 8, 6, 6)}),
            "process 10 is in session 6, but its parent 8 never was in it");
}

TEST(Family, no_tree) {
  EXPECT_EQ(plan({}), "pstree: there is no process");
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(5, 5, 5, 5)}), "pstree: 5 is there twice");
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(6, 7, 5, 5)}),
            "pstree: the parent 7 of 6 is not in front of it");
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(6, 6, 5, 5)}),
            "pstree: the parent 6 of 6 is not in front of it");
  EXPECT_EQ(plan({node(5, 0, 5, 5), node(6, 5, 4, 6)}),
            "pstree: the session leader 6 is in process group 4");
}

TEST(Family, a_chain_that_is_too_long_is_refused) {
  std::vector<pb::pstree_entry> nodes{node(1, 0, 1, 1)};
  for (uint32_t pid = 2; pid < 3000; ++pid) nodes.push_back(node(pid, pid - 1, 1, 1));
  EXPECT_EQ(plan(nodes), "more than 2000 generations");
}

}  // namespace
}  // namespace cryo
