/* Preloaded into a process: fills the disk at the n-th write below a folder, and moves the clock of the day.

   TORTURE_FOLDER: writes to files below it are counted; `fail_writes_from(n)` makes the n-th and all later ones fail
   with ENOSPC. TORTURE_CLOCK=1: the clock of the day jumps by up to 30 years at every 50th reading, in both directions;
   the monotonic clock is not changed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static long writes, first_failing = LONG_MAX;

void fail_writes_from(long number) { writes = 0, first_failing = number; }
long counted_writes(void) { return writes; }

static int is_full(int descriptor) {
  const char *folder = getenv("TORTURE_FOLDER");
  char link[64], path[PATH_MAX];
  if (!folder) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (strncmp(path, folder, strlen(folder))) return 0;
  if (__atomic_add_fetch(&writes, 1, __ATOMIC_SEQ_CST) < first_failing) return 0;
  errno = ENOSPC;
  return 1;
}

ssize_t write(int descriptor, const void *data, size_t size) {
  return is_full(descriptor) ? -1 : NEXT(write)(descriptor, data, size);
}
ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset) {
  return is_full(descriptor) ? -1 : NEXT(pwrite)(descriptor, data, size, offset);
}
ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset) {
  return is_full(descriptor) ? -1 : NEXT(pwrite64)(descriptor, data, size, offset);
}
ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  return is_full(descriptor) ? -1 : NEXT(writev)(descriptor, parts, count);
}
int fsync(int descriptor) { return is_full(descriptor) ? -1 : NEXT(fsync)(descriptor); }

static time_t jump(void) {
  static long readings;
  static const time_t offsets[] = {0, 3600, -3600, 946080000, -946080000, 86400, -31536000};
  if (!getenv("TORTURE_CLOCK")) return 0;
  long reading = __atomic_add_fetch(&readings, 1, __ATOMIC_SEQ_CST);
  return offsets[reading / 50 % (sizeof offsets / sizeof *offsets)];
}

int clock_gettime(clockid_t clock, struct timespec *value) {
  int result = NEXT(clock_gettime)(clock, value);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) value->tv_sec += jump();
  return result;
}
int gettimeofday(struct timeval *value, void *zone) {
  int result = NEXT(gettimeofday)(value, zone);
  if (result == 0) value->tv_sec += jump();
  return result;
}
time_t time(time_t *value) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (value) *value = now.tv_sec;
  return now.tv_sec;
}
