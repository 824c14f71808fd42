// Counts, for any C library: memory from the heap, text through stdio, floating point, until the file may-end exists.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double series(unsigned long terms) {
  double sum = 0;
  for (unsigned long i = 1; i <= terms; i++) sum += sqrt((double)i) / (double)i;
  return sum;
}

int main(void) {
  unsigned long count = 0;
  double sum = 0;
  while (access("may-end", F_OK) != 0) {
    for (int i = 0; i < 2000; i++) {
      count++;
      sum += sqrt((double)count) / (double)count;
    }
    size_t size = count % 5000 + 1;
    char* text = malloc(size);
    if (text == NULL) return 1;
    memset(text, 'x', size);
    if (text[size - 1] != 'x') return 1;
    free(text);
    if (count % 20000 == 0) {
      printf("count %lu\n", count);
      fflush(stdout);
    }
  }
  puts(sum == series(count) ? "right" : "wrong");
  return 0;
}
