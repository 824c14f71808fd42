#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char** argv) {
  // Restored processes lose their parent when the restoring program ends. They come to us, so that
  // tests can wait for them.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  // ctest leaks the descriptor of its log to its tests.
  close_range(3, ~0U, 0);
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
