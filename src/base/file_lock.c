/* file_lock.c - one run, one owner: flock(2), which the kernel takes back however the process ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/alloc.h"
#include "base/file_internal.h"
#include "protlm/log.h"

enum { LONGEST_NOTE = 4096 };

struct plm_lock {
  int fd;
};

/* The file keeps its name when the lock is released: removing it would let a third process lock a new file while a
 * second still holds the old one. Only the note is cleared. */
void plm_lock_release(plm_lock *lock) {
  if (lock == NULL) return;
  plm_fs_current()->ftruncate(lock->fd, 0);
  plm_fs_current()->close(lock->fd);
  plm_free(lock);
}

/* Whether the lock is ours. Some mounts of Lustre and old NFS have no flock: the run goes on, and says what is not
 * guarded. */
static plm_status try_lock(int fd, const char *path, bool *ret_is_ours) {
  int result;
  do result = flock(fd, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  *ret_is_ours = result == 0;
  if (result == 0 || errno == EWOULDBLOCK) return PLM_OK;
  if (errno != ENOSYS && errno != ENOTSUP && errno != ENOLCK) return plm_file_cannot(PLM_E_RESOURCE, "lock", path);
  plm_warn("%s: this file system has no locks (%s); a second run in the same directory would not be noticed", path,
           strerror(errno));
  *ret_is_ours = true;
  return PLM_OK;
}

static plm_status write_note(int fd, const char *path, const char *note) {
  if (plm_fs_current()->ftruncate(fd, 0) != 0) return plm_file_cannot(PLM_E_RESOURCE, "write", path);
  return plm_fs_write_all(fd, path, note, strlen(note));
}

plm_status plm_lock_take(const char *path, const char *note, plm_lock **ret_lock, bool *ret_held_elsewhere,
                         char **ret_holder) {
  plm_lock *lock;
  plm_status status;
  PLM_TRY(PLM_NEW(&lock, 1));
  bool is_ours = false;
  lock->fd = plm_fs_open(path, O_RDWR | O_CREAT, 0666);
  if (lock->fd < 0) {
    status = plm_file_cannot(PLM_E_RESOURCE, "lock", path);
    plm_free(lock);
    return status;
  }
  PLM_TRY_GOTO(try_lock(lock->fd, path, &is_ours), fail);
  if (is_ours) {
    PLM_TRY_GOTO(write_note(lock->fd, path, note), fail);
    *ret_lock = lock;
  } else {
    if (ret_holder != NULL) {
      size_t bytes;
      PLM_TRY_GOTO(plm_file_read(path, LONGEST_NOTE, ret_holder, &bytes), fail);
    }
    plm_fs_current()->close(lock->fd);
    plm_free(lock);
    *ret_lock = NULL;
  }
  *ret_held_elsewhere = !is_ours;
  return PLM_OK;
fail:
  plm_fs_current()->close(lock->fd);
  plm_free(lock);
  return status;
}
