/* threads READY COUNT: so many threads, most of them in waits of three kinds, one that works. */
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "ready.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t all;

static void* work(void* number) {
  pthread_barrier_wait(&all);
  const struct timespec pause = {5, 0};
  for (;;) {
    if ((uintptr_t)number % 3 == 0) {
      nanosleep(&pause, 0);
    } else if ((uintptr_t)number % 3 == 1) {
      poll(0, 0, 5000);
    } else {
      pthread_mutex_lock(&mutex);
      pthread_cond_wait(&never, &mutex);
      pthread_mutex_unlock(&mutex);
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const unsigned count = (unsigned)atoi(argv[2]);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 65536);
  pthread_barrier_init(&all, 0, count);
  for (uintptr_t i = 1; i < count; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, work, (void*)i) != 0) return 1;
  }
  pthread_barrier_wait(&all);
  /* Until they all wait. */
  const struct timespec settle = {0, 200000000}, pause = {0, 10000000};
  nanosleep(&settle, 0);
  ready(argv[1]);
  for (volatile unsigned long turns = 0;; ++turns) nanosleep(&pause, 0);
}
