#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tests/harness/checkpoint_test.h"

namespace cryo {
namespace {

CHECKPOINT_TEST(FileSystemContext, root_of_its_own) {
  ASSERT_EQ(mkdir("jail", 0755), 0);
  ASSERT_EQ(mkdir("jail/below", 0755), 0);
  ASSERT_EQ(chroot("jail"), 0);
  ASSERT_EQ(chdir("/below"), 0);
  checkpoint();
  struct stat root {
  }, above{};
  ASSERT_EQ(stat("/", &root), 0);
  ASSERT_EQ(stat("..", &above), 0);
  EXPECT_EQ(root.st_ino, above.st_ino);
  EXPECT_EQ(access("/below", F_OK), 0);
  EXPECT_NE(access("/dev", F_OK), 0);
  EXPECT_EQ(access("../../../below", F_OK), 0);
}

// As a program is left that has entered a jail without going there.
CHECKPOINT_TEST(FileSystemContext, working_directory_outside_of_the_root) {
  ASSERT_EQ(mkdir("jail", 0755), 0);
  ASSERT_EQ(chroot("jail"), 0);
  checkpoint();
  EXPECT_EQ(access("jail", F_OK), 0);
  EXPECT_NE(access("/jail", F_OK), 0);
}

CHECKPOINT_TEST(FileSystemContext, removed_root) {
  ASSERT_EQ(mkdir("jail", 0755), 0);
  ASSERT_EQ(chroot("jail"), 0);
  ASSERT_EQ(rmdir("jail"), 0);
  checkpoint();
  EXPECT_EQ(open("/x", O_CREAT | O_RDWR, 0600), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(access("..", F_OK), 0);
}

CHECKPOINT_TEST(FileSystemContext, creation_mask) {
  umask(0137);
  checkpoint();
  EXPECT_EQ(umask(0), 0137u);
}

}  // namespace
}  // namespace cryo
