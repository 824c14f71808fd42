#include <gmock/gmock.h>
#include <sys/prctl.h>

int main(int argc, char** argv) {
  // Restored processes lose their parent when the restoring program ends. They come to us, so that
  // tests can wait for them.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
