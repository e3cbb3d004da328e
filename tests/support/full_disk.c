// Preloaded: while the file FULL_DISK_FLAG exists, what would make a file under the folder FULL_DISK_UNDER longer fails as on a
// full disk.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int full(int fd, off_t end) {
  const char *flag = getenv("FULL_DISK_FLAG"), *under = getenv("FULL_DISK_UNDER");
  if (flag == NULL || under == NULL || access(flag, F_OK) != 0) return 0;
  char link[40], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  struct stat status;
  if (strncmp(path, under, strlen(under)) != 0 || fstat(fd, &status) != 0 || end <= status.st_size) return 0;
  errno = ENOSPC;
  return 1;
}

static void* next(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

ssize_t pwrite(int fd, const void* buffer, size_t count, off_t offset) {
  ssize_t (*real)(int, const void*, size_t, off_t) = next("pwrite");
  return full(fd, offset + (off_t)count) ? -1 : real(fd, buffer, count, offset);
}

ssize_t pwrite64(int fd, const void* buffer, size_t count, off_t offset) { return pwrite(fd, buffer, count, offset); }

ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) {
  ssize_t (*real)(int, const struct iovec*, int, off_t) = next("pwritev");
  off_t end = offset;
  for (int i = 0; i < count; ++i) end += (off_t)parts[i].iov_len;
  return full(fd, end) ? -1 : real(fd, parts, count, offset);
}

ssize_t write(int fd, const void* buffer, size_t count) {
  ssize_t (*real)(int, const void*, size_t) = next("write");
  const off_t at = lseek(fd, 0, SEEK_CUR);
  return at >= 0 && full(fd, at + (off_t)count) ? -1 : real(fd, buffer, count);
}

int posix_fallocate(int fd, off_t offset, off_t length) {
  int (*real)(int, off_t, off_t) = next("posix_fallocate");
  return full(fd, offset + length) ? ENOSPC : real(fd, offset, length);
}
