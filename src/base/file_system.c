/* file_system.c - the table of system calls, the loops every caller of it needs, and the words for its errors. Read
 * file.h first. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_internal.h"
#include "base/text.h"

enum { LARGEST_WRITE = 1 << 30 }; /* Linux moves at most 2 GiB - 4 KiB a call */

/* `protlm slurm` has a drill in which a disk is full where it cannot be filled: no new file whose path holds the text. */
static bool is_full_in_drill(const char *path, int flags) {
  const char *text = (flags & O_CREAT) != 0 ? getenv("PROTLM_DRILL_FULL_DISK") : NULL;
  return text != NULL && *text != '\0' && strstr(path, text) != NULL;
}

static int real_open(const char *path, int flags, mode_t mode) {
  if (is_full_in_drill(path, flags)) {
    errno = ENOSPC;
    return -1;
  }
  return open(path, flags, mode);
}

static int real_stat(const char *path, struct stat *ret_stat) { return stat(path, ret_stat); }

static const plm_fs real_table = {
    .open = real_open,
    .write = write,
    .pread = pread,
    .fsync = fsync,
    .close = close,
    .rename = rename,
    .mkdir = mkdir,
    .rmdir = rmdir,
    .unlink = unlink,
    .symlink = symlink,
    .ftruncate = ftruncate,
    .stat = real_stat,
};
static _Atomic(const plm_fs *) current_table = &real_table;

void plm_fs_set(const plm_fs *table) { atomic_store(&current_table, table != NULL ? table : &real_table); }
const plm_fs *plm_fs_real(void) { return &real_table; }
const plm_fs *plm_fs_current(void) { return atomic_load(&current_table); }

int plm_fs_open(const char *path, int flags, mode_t mode) {
  int fd;
  do fd = plm_fs_current()->open(path, flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

plm_status plm_fs_write_all(int fd, const char *path, const void *data, size_t bytes) {
  const char *rest = data;
  while (bytes > 0) {
    ssize_t written = plm_fs_current()->write(fd, rest, bytes < LARGEST_WRITE ? bytes : LARGEST_WRITE);
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO; /* a regular file never takes nothing of something */
    if (written <= 0) return plm_file_cannot(PLM_E_RESOURCE, "write", path);
    rest += written;
    bytes -= (size_t)written;
  }
  return PLM_OK;
}

/* A failed fsync is never tried again: the kernel may have dropped the pages and would then report success. */
plm_status plm_fs_sync(int fd, const char *path) {
  int result;
  do result = plm_fs_current()->fsync(fd);
  while (result != 0 && errno == EINTR);
  return result == 0 ? PLM_OK : plm_file_cannot(PLM_E_RESOURCE, "write (sync)", path);
}

/* On Linux an interrupted close has closed; trying again could close another thread's new descriptor. */
plm_status plm_fs_close(int fd, const char *path) {
  if (plm_fs_current()->close(fd) == 0 || errno == EINTR) return PLM_OK;
  return plm_file_cannot(PLM_E_RESOURCE, "write (close)", path);
}

static plm_status hint_for_full_disk(plm_status code, const char *path) {
  plm_error_record record; /* asking for the free space may fail, and must not replace the message */
  plm_error_take(code, &record);
  int64_t available;
  plm_status known = plm_disk_free(path, &available);
  plm_error_give(&record);
  char text[PLM_NUMBER_TEXT];
  if (known != PLM_OK) return plm_hint(code, "make room there or write to another file system");
  return plm_hint(code, "%s are free there: make room or write to another file system",
                  plm_bytes_text(available, text));
}

plm_status plm_file_report(plm_status code, const char *verb, const char *path) {
  int error = errno;
  plm_fail(code, "cannot %s %s: %s", verb, path, strerror(error));
  switch (error) {
    case ENOSPC:
      return hint_for_full_disk(code, path);
    case EDQUOT:
      return plm_hint(
          code, "your quota is used up: make room (see `quota -s` or `lfs quota`) or write to another file system");
    case EROFS:
      return plm_hint(code, "that file system is mounted read-only: choose another place");
    case EMFILE:
    case ENFILE:
      return plm_hint(code, "too many files are open: raise `ulimit -n`");
    case EFBIG:
      return plm_hint(code, "files may not grow that large here: raise `ulimit -f`");
    case ENAMETOOLONG:
      return plm_hint(code, "choose a shorter name");
    case ENOENT:
    case ELOOP:
      return code == PLM_E_INPUT ? code
                                 : plm_hint(code, "a directory on the way is missing, or a link there leads nowhere");
    case EEXIST:
    case ENOTEMPTY:
    case EISDIR:
      return plm_hint(code, "remove it or choose another name");
    default:
      return code;
  }
}

plm_status plm_path_temporary(const char *path, int n, char **ret_path) {
  char *parent = NULL, *name = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_path_parent(path, &parent), done);
  /* At most 200 bytes of the name: with the rest it stays under the usual limit of 255. */
  PLM_TRY_GOTO(plm_sprintf(&name, "tmp-%.200s-%ld-%d", plm_path_name(path), (long)getpid(), n), done);
  PLM_TRY_GOTO(plm_path_join(parent, name, ret_path), done);
done:
  plm_free(name);
  plm_free(parent);
  return status;
}
