#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

struct Ids {
  std::array<uid_t, 4> uids{};
  std::array<gid_t, 4> gids{};
  std::vector<gid_t> groups;
  friend bool operator==(const Ids&, const Ids&) = default;
};

// Of this thread; libc's functions would ask and set the whole process.
Ids ids() {
  Ids ids;
  syscall(SYS_getresuid, &ids.uids[0], &ids.uids[1], &ids.uids[2]);
  syscall(SYS_getresgid, &ids.gids[0], &ids.gids[1], &ids.gids[2]);
  ids.uids[3] = static_cast<uid_t>(syscall(SYS_setfsuid, -1));
  ids.gids[3] = static_cast<gid_t>(syscall(SYS_setfsgid, -1));
  ids.groups.resize(static_cast<size_t>(syscall(SYS_getgroups, 0, nullptr)));
  syscall(SYS_getgroups, ids.groups.size(), ids.groups.data());
  return ids;
}

bool set_groups(const std::vector<gid_t>& groups) {
  return syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
}

struct Sets {
  uint64_t effective = 0, permitted = 0, inheritable = 0;
  friend bool operator==(const Sets&, const Sets&) = default;
};

Sets capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  syscall(SYS_capget, &header, data.data());
  return {uint64_t{data[1].effective} << 32 | data[0].effective,
          uint64_t{data[1].permitted} << 32 | data[0].permitted,
          uint64_t{data[1].inheritable} << 32 | data[0].inheritable};
}

bool set_capabilities(const Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  for (unsigned i = 0; i < 2; ++i)
    data[i] = {static_cast<uint32_t>(sets.effective >> 32 * i),
               static_cast<uint32_t>(sets.permitted >> 32 * i),
               static_cast<uint32_t>(sets.inheritable >> 32 * i)};
  return syscall(SYS_capset, &header, data.data()) == 0;
}

constexpr uint64_t bit(int capability) { return uint64_t{1} << capability; }
constexpr const char* kNeedsRoot = "needs root";
constexpr const char* kNoResource =
    "without CAP_SYS_RESOURCE, CRIU cannot read the limits of another user";

CHECKPOINT_TEST(Creds, of_an_ordinary_user, except({"we_restore_peers"}, kNoResource)) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  ASSERT_EQ(chmod(".", 0777), 0);
  ASSERT_TRUE(set_groups({7, 2000, 30000}));
  ASSERT_EQ(setresgid(1000, 1000, 1000), 0);
  ASSERT_EQ(setresuid(1000, 1000, 1000), 0);
  const Ids before = ids();
  checkpoint();
  EXPECT_EQ(ids(), before);
  EXPECT_EQ(capabilities(), Sets());
  EXPECT_NE(setuid(0), 0);
}

CHECKPOINT_TEST(Creds, all_ids_different, except({"we_restore_peers"}, kNoResource)) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  ASSERT_TRUE(set_groups({}));
  ASSERT_EQ(syscall(SYS_setresgid, 11, 12, 13), 0);
  setfsgid(14);
  ASSERT_EQ(syscall(SYS_setresuid, 0, 21, 0), 0);
  setfsuid(0);
  const Ids before = ids();
  ASSERT_EQ(before.uids, (std::array<uid_t, 4>{0, 21, 0, 0}));
  checkpoint();
  EXPECT_EQ(ids(), before);
  EXPECT_EQ(syscall(SYS_setresuid, -1, 0, -1), 0);
}

CHECKPOINT_TEST(Creds, keeps_capabilities_of_a_user, except({"we_restore_peers"}, kNoResource)) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  ASSERT_EQ(prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
  ASSERT_EQ(setresuid(1000, 1000, 1000), 0);
  const Sets sets{bit(CAP_CHOWN), bit(CAP_CHOWN) | bit(CAP_NET_BIND_SERVICE) | bit(CAP_BPF),
                  bit(CAP_NET_BIND_SERVICE) | bit(CAP_CHOWN)};
  ASSERT_TRUE(set_capabilities(sets));
  ASSERT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0), 0);
  checkpoint();
  EXPECT_EQ(capabilities(), sets);
  EXPECT_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_MODULE, 0, 0, 0), 0);
  EXPECT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0), 1);
  EXPECT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
  EXPECT_EQ(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), 1);
}

// An inheritable capability may lie outside the bounding set, if it was inheritable first.
CHECKPOINT_TEST(Creds, inheritable_outside_the_bounding_set,
                except({"peer_restores_ours"}, "CRIU shrinks the bounding set first")) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  Sets sets = capabilities();
  sets.inheritable = bit(CAP_SYS_TIME);
  ASSERT_TRUE(set_capabilities(sets));
  ASSERT_EQ(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0), 0);
  sets.permitted &= ~bit(CAP_SYS_TIME);
  sets.effective = 0;
  ASSERT_TRUE(set_capabilities(sets));
  checkpoint();
  EXPECT_EQ(capabilities(), sets);
  EXPECT_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_TIME, 0, 0, 0), 0);
}

constexpr int kLockedBits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                            SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED;

CHECKPOINT_TEST(Creds, locked_securebits) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  ASSERT_EQ(prctl(PR_SET_SECUREBITS, kLockedBits, 0, 0, 0), 0);
  checkpoint();
  EXPECT_EQ(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), kLockedBits);
}

CHECKPOINT_TEST(Creds, ambient_capability_that_could_not_be_raised_again,
                except({"peer_restores_ours"}, "CRIU raises it when the securebits forbid it")) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  const int bits = kLockedBits | SECBIT_NO_CAP_AMBIENT_RAISE;
  Sets sets = capabilities();
  sets.inheritable = bit(CAP_KILL);
  ASSERT_TRUE(set_capabilities(sets));
  ASSERT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECUREBITS, bits, 0, 0, 0), 0);
  checkpoint();
  EXPECT_EQ(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), bits);
  EXPECT_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 1);
}

CHECKPOINT_TEST(Creds, no_new_privs) {
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  checkpoint();
  EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}

CHECKPOINT_TEST(Creds, of_each_thread) {
  if (geteuid() != 0) GTEST_SKIP() << kNeedsRoot;
  live::Gate go;
  live::Threads threads(4, [&](int index) {
    const auto id = static_cast<uid_t>(1000 + index);
    ASSERT_TRUE(set_groups({id, id + 100}));
    ASSERT_EQ(syscall(SYS_setresgid, id, id, id), 0);
    if (index == 1) {
      ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    }
    if (index == 2) {
      ASSERT_EQ(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS, 0, 0, 0), 0);
    }
    if (index != 3) {
      ASSERT_EQ(syscall(SYS_setresuid, id, id, id), 0);
    }
    const Ids before = ids();
    const Sets sets = capabilities();
    go.wait();
    EXPECT_EQ(ids(), before);
    EXPECT_EQ(capabilities(), sets);
    EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), index == 1 ? 1 : 0);
    EXPECT_EQ(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), index == 2 ? SECBIT_KEEP_CAPS : 0);
  });
  ASSERT_TRUE(threads.wait_in_syscall(SYS_futex));
  const Ids before = ids();
  checkpoint();
  EXPECT_EQ(ids(), before);
  go.open();
  threads.join();
}

}  // namespace
}  // namespace cryo
