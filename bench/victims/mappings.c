/* mappings READY COUNT: so many mappings that do not merge, of two pages each, one of which is touched. */
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include "ready.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const size_t count = (size_t)atol(argv[2]), each = 8192;
  unsigned char* memory =
      mmap(0, count * each, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  for (size_t i = 0; i < count; ++i) {
    *(size_t*)(memory + i * each) = i + 1;
    if (i % 2 == 0 && mprotect(memory + i * each, each, PROT_READ) != 0) return 1;
  }
  ready(argv[1]);
  const struct timespec pause = {0, 10000000};
  for (volatile unsigned long turns = 0;; ++turns) nanosleep(&pause, 0);
}
