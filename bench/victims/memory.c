/* memory READY MIB [huge]: has touched every page of so much memory, and goes on writing to it. No two pages are the
 * same and none is zero. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "ready.h"

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const size_t size = (size_t)atol(argv[2]) << 20;
  unsigned char* memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  if (argc > 3 && strcmp(argv[3], "huge") == 0) madvise(memory, size, MADV_HUGEPAGE);
  uint64_t random = 88172645463325252U;
  for (size_t at = 0; at < size; at += 8) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    memcpy(memory + at, &random, 8);
  }
  ready(argv[1]);
  const struct timespec pause = {0, 1000000};
  for (size_t at = 0;; at = (at + 1234567) % size) {
    memory[at] ^= 1;
    nanosleep(&pause, 0);
  }
}
