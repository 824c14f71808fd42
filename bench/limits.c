/* limits DIRECTORY...: what this machine can do at best, to see measurements against. Prints "NAME VALUE UNIT" lines. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kRounds = 5 };
static const size_t kSize = 256u << 20;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static void* fresh(void) {
  void* memory = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) exit(1);
  return memory;
}

static void touch(unsigned char* memory) {
  for (size_t at = 0; at < kSize; at += 4096) memory[at] = 1;
}

/* The time of `action`, median and least. */
static void report(const char* name, double size, const char* unit, double (*action)(const char*),
                   const char* argument) {
  double seconds[kRounds];
  for (int i = 0; i < kRounds; ++i) seconds[i] = action(argument);
  qsort(seconds, kRounds, sizeof(double), ascending);
  const double median = size > 0 ? size / seconds[kRounds / 2] : seconds[kRounds / 2] * 1e3;
  const double best = size > 0 ? size / seconds[0] : seconds[0] * 1e3;
  printf("%s%s%s\t%.2f\t%.2f\t%s\n", name, argument[0] ? " " : "", argument, median, best, unit);
}

static double copying(const char* unused) {
  (void)unused;
  char *from = fresh(), *to = fresh();
  memset(from, 1, kSize);
  memset(to, 1, kSize);
  const double begin = now();
  memcpy(to, from, kSize);
  const double took = now() - begin;
  munmap(from, kSize);
  munmap(to, kSize);
  return took;
}

static double faulting(const char* huge) {
  unsigned char* memory = fresh();
  if (huge[0]) madvise(memory, kSize, MADV_HUGEPAGE);
  const double begin = now();
  touch(memory);
  const double took = now() - begin;
  munmap(memory, kSize);
  return took;
}

static double writing(const char* directory) {
  char path[4096];
  snprintf(path, sizeof path, "%s/limits.tmp", directory);
  char* memory = fresh();
  memset(memory, 1, kSize);
  const int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
  if (fd < 0) exit(1);
  const double begin = now();
  for (size_t at = 0; at < kSize; at += 16u << 20)
    if (write(fd, memory + at, 16u << 20) != 16 << 20) exit(1);
  const double took = now() - begin;
  close(fd);
  unlink(path);
  munmap(memory, kSize);
  return took;
}

static double starting(const char* program) {
  char* arguments[] = {(char*)program, 0};
  extern char** environ;
  const double begin = now();
  pid_t pid = 0;
  if (posix_spawn(&pid, program, 0, 0, arguments, environ) != 0) exit(1);
  waitpid(pid, 0, 0);
  return now() - begin;
}

int main(int argc, char** argv) {
  if (argc == 1) return 0; /* as the program that starting() runs */
  const double gib = (double)kSize / (double)(1u << 30);
  report("memcpy", gib, "GiB/s", copying, "");
  report("page faults, 4 KiB", gib, "GiB/s", faulting, "");
  report("page faults,", gib, "GiB/s", faulting, "2 MiB");
  for (int i = 1; i < argc; ++i) report("write to", gib, "GiB/s", writing, argv[i]);
  report("start and end of a static program", 0, "ms", starting, argv[0]);
  return 0;
}
