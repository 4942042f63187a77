/* faulty_fs.c - counts operations and makes the planned ones fail. What a power cut needs to know is kept in
 * faulty_power.c. */
#define _GNU_SOURCE
#include "support/faulty_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "support/faulty_power.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static faulty_plan plan;
static int64_t operations, failures;
static char failed[512];

enum { MOST_FDS = 1024 };
static char *path_of[MOST_FDS]; /* for faulty_fs_failed */

/* Count an operation. Whether it is to fail; errno is then set. */
static bool is_failing(const char *name, const char *path) {
  operations++;
  if (operations == plan.kill_at) _exit(137);
  bool is_cut = plan.cut_at > 0 && operations >= plan.cut_at;
  bool is_planned = plan.fail_at > 0 && (plan.stays_broken ? operations >= plan.fail_at : operations == plan.fail_at);
  if (!is_cut && !is_planned) return false;
  if (failures++ == 0) snprintf(failed, sizeof failed, "%s %s", name, path != NULL ? path : "?");
  errno = is_cut || plan.error == 0 ? EIO : plan.error;
  return true;
}

static const char *name_of(int fd) { return fd >= 0 && fd < MOST_FDS ? path_of[fd] : NULL; }

static int faulty_open(const char *path, int flags, mode_t mode) {
  pthread_mutex_lock(&lock);
  int fd = -1;
  if (!is_failing("open", path)) {
    if (flags & O_TRUNC) abort(); /* the file layer never does, and the power cut could not undo it */
    bool is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
    void *creation = is_new ? power_before_name(NAME_CREATE, path, NULL) : NULL;
    fd = plm_fs_real()->open(path, flags, mode);
    int error = errno;
    if (creation != NULL) power_after_name(creation, fd >= 0);
    if (fd >= 0 && fd < MOST_FDS) {
      free(path_of[fd]);
      path_of[fd] = strdup(path);
    }
    errno = error;
  }
  pthread_mutex_unlock(&lock);
  return fd;
}

static ssize_t faulty_write(int fd, const void *data, size_t bytes) {
  pthread_mutex_lock(&lock);
  ssize_t result = -1;
  bool is_last = operations + 1 == plan.kill_at || operations + 1 == plan.cut_at;
  power_before_write(fd);
  if (is_last && bytes > 1)
    result = plm_fs_real()->write(fd, data, bytes / 2); /* the machine dies in the middle of it */
  if (is_failing("write", name_of(fd)))
    result = -1;
  else
    result = plm_fs_real()->write(fd, data,
                                  plan.largest_write > 0 && bytes > plan.largest_write ? plan.largest_write : bytes);
  pthread_mutex_unlock(&lock);
  return result;
}

static ssize_t faulty_pread(int fd, void *data, size_t bytes, off_t offset) {
  pthread_mutex_lock(&lock);
  ssize_t result = is_failing("pread", name_of(fd)) ? -1 : plm_fs_real()->pread(fd, data, bytes, offset);
  pthread_mutex_unlock(&lock);
  return result;
}

/* Nothing is really synced: the only power that goes is ours, and the loops over all operations would take minutes. */
static int faulty_fsync(int fd) {
  pthread_mutex_lock(&lock);
  int result = is_failing("fsync", name_of(fd)) ? -1 : 0;
  if (result == 0) power_synced(fd);
  pthread_mutex_unlock(&lock);
  return result;
}

/* A failed close has closed, as on Linux. */
static int faulty_close(int fd) {
  pthread_mutex_lock(&lock);
  bool fails = is_failing("close", name_of(fd));
  int error = errno, result = plm_fs_real()->close(fd);
  if (fd >= 0 && fd < MOST_FDS) {
    free(path_of[fd]);
    path_of[fd] = NULL;
  }
  if (fails) {
    result = -1;
    errno = error;
  }
  pthread_mutex_unlock(&lock);
  return result;
}

/* The operations on names, all alike: remember, do, and keep the memory if it was done. */
#define FAULTY_NAME(operation, label, kind, path, to, call) \
  pthread_mutex_lock(&lock);                                \
  int result = -1;                                          \
  if (!is_failing(label, path)) {                           \
    void *operation = power_before_name(kind, path, to);    \
    result = call;                                          \
    int error = errno;                                      \
    power_after_name(operation, result == 0);               \
    errno = error;                                          \
  }                                                         \
  pthread_mutex_unlock(&lock);                              \
  return result

static int faulty_rename(const char *from, const char *to) {
  FAULTY_NAME(change, "rename", NAME_RENAME, from, to, plm_fs_real()->rename(from, to));
}
static int faulty_mkdir(const char *path, mode_t mode) {
  FAULTY_NAME(change, "mkdir", NAME_MKDIR, path, NULL, plm_fs_real()->mkdir(path, mode));
}
static int faulty_rmdir(const char *path) {
  FAULTY_NAME(change, "rmdir", NAME_RMDIR, path, NULL, plm_fs_real()->rmdir(path));
}
static int faulty_unlink(const char *path) {
  FAULTY_NAME(change, "unlink", NAME_UNLINK, path, NULL, plm_fs_real()->unlink(path));
}
static int faulty_symlink(const char *target, const char *path) {
  FAULTY_NAME(change, "symlink", NAME_CREATE, path, NULL, plm_fs_real()->symlink(target, path));
}

static int faulty_ftruncate(int fd, off_t length) {
  pthread_mutex_lock(&lock);
  int result = -1;
  if (!is_failing("ftruncate", name_of(fd))) {
    power_before_write(fd);
    result = plm_fs_real()->ftruncate(fd, length);
  }
  pthread_mutex_unlock(&lock);
  return result;
}

static int faulty_stat(const char *path, struct stat *facts) {
  pthread_mutex_lock(&lock);
  int result = is_failing("stat", path) ? -1 : plm_fs_real()->stat(path, facts);
  pthread_mutex_unlock(&lock);
  return result;
}

static const plm_fs table = {
    .open = faulty_open,
    .write = faulty_write,
    .pread = faulty_pread,
    .fsync = faulty_fsync,
    .close = faulty_close,
    .rename = faulty_rename,
    .mkdir = faulty_mkdir,
    .rmdir = faulty_rmdir,
    .unlink = faulty_unlink,
    .symlink = faulty_symlink,
    .ftruncate = faulty_ftruncate,
    .stat = faulty_stat,
};

void faulty_fs_install(const faulty_plan *new_plan) {
  pthread_mutex_lock(&lock);
  plan = *new_plan;
  operations = failures = 0;
  failed[0] = '\0';
  power_forget();
  pthread_mutex_unlock(&lock);
  plm_fs_set(&table);
}

void faulty_fs_remove(void) {
  plm_fs_set(NULL);
  pthread_mutex_lock(&lock);
  power_forget();
  plan = (faulty_plan){0};
  for (int fd = 0; fd < MOST_FDS; fd++) {
    free(path_of[fd]);
    path_of[fd] = NULL;
  }
  pthread_mutex_unlock(&lock);
}

int64_t faulty_fs_operations(void) { return operations; }
int64_t faulty_fs_failures(void) { return failures; }
const char *faulty_fs_failed(void) { return failed; }

void faulty_fs_power_cut(faulty_cut mode, uint64_t seed) {
  plm_fs_set(NULL);
  power_cut(mode, seed);
  faulty_fs_remove();
}
