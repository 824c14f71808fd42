#include "kinds/task/seccomp_program.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace cryo {
namespace {

using Program = std::vector<sock_filter>;

constexpr uint32_t kNr = offsetof(seccomp_data, nr);
constexpr uint32_t kKill = SECCOMP_RET_KILL_PROCESS;
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;

seccomp_data call(int nr) {
  seccomp_data data{};
  data.nr = nr;
  return data;
}

TEST(SeccompProgram, decides_by_number) {
  const Program program = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNr),
                           BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 11, 0, 1),
                           BPF_STMT(BPF_RET | BPF_K, kKill), BPF_STMT(BPF_RET | BPF_K, kAllow)};
  EXPECT_EQ(run_seccomp_program(program, call(11)), kKill);
  EXPECT_EQ(run_seccomp_program(program, call(12)), kAllow);
  EXPECT_TRUE(may_answer(program, kKill));
  EXPECT_FALSE(may_answer(program, SECCOMP_RET_USER_NOTIF));
}

TEST(SeccompProgram, computes) {
  const Program program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNr), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
      BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 4),  BPF_STMT(BPF_ST, 3),
      BPF_STMT(BPF_LDX | BPF_MEM, 3),          BPF_STMT(BPF_LD | BPF_IMM, 1),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),  BPF_STMT(BPF_RET | BPF_A, 0)};
  EXPECT_EQ(run_seccomp_program(program, call(0x1203)), 0x31U);
}

TEST(SeccompProgram, without_an_end_has_no_answer) {
  EXPECT_FALSE(run_seccomp_program({}, call(1)));
  EXPECT_FALSE(run_seccomp_program(Program{BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff)}, call(1)));
  EXPECT_FALSE(run_seccomp_program(Program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64)}, call(1)));
  EXPECT_FALSE(run_seccomp_program(Program{BPF_STMT(BPF_ST, 16), BPF_STMT(BPF_RET | BPF_K, kAllow)},
                                   call(1)));
}

TEST(SeccompProgram, the_strictest_answer_counts) {
  EXPECT_EQ(stricter_answer(kAllow, SECCOMP_RET_LOG), SECCOMP_RET_LOG);
  EXPECT_EQ(stricter_answer(SECCOMP_RET_KILL_THREAD, kKill), kKill);
  EXPECT_EQ(stricter_answer(SECCOMP_RET_ERRNO | 1, kAllow), SECCOMP_RET_ERRNO | 1);
}

}  // namespace
}  // namespace cryo
