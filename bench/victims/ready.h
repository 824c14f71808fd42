/* What every victim does once it is in the state that is to be measured: it makes the file that the harness waits
 * for, and leaves no descriptor behind. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void ready(const char* path) {
  const int fd = open(path, O_CREAT | O_WRONLY, 0600);
  if (fd < 0) exit(1);
  close(fd);
}
