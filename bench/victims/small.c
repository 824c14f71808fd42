/* small READY: a program that counts and sleeps. */
#include <time.h>

#include "ready.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  ready(argv[1]);
  const struct timespec pause = {0, 10000000};
  for (volatile unsigned long count = 0;; ++count) nanosleep(&pause, 0);
}
