/* file.c - questions about files, and reading them. As memory: file_map.c; writing: file_write.c; directories:
 * file_tree.c; lock: file_lock.c; the table of system calls: file_system.c; paths: at the end. */
#define _GNU_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_internal.h"
#include "base/hash.h"
#include "base/text.h"

/* ---- patience ---- */

/* Network file systems recover from EIO, so what only looks or reads is tried again: after 10, 40 and 160 ms. */
enum { RETRIES = 3 };

typedef struct patience {
  int failures;
} patience;

/* Whether the call that has just set errno is to be made again. */
static bool try_again(patience *p) {
  if (errno == EINTR) return true;
  if ((errno != EAGAIN && errno != EIO) || p->failures == RETRIES) return false;
  struct timespec pause = {.tv_nsec = (10 * 1000 * 1000L) << (2 * p->failures++)};
  nanosleep(&pause, NULL);
  return true;
}

int plm_fs_stat(const char *path, struct stat *ret_facts) {
  patience p = {0};
  int result;
  do result = plm_fs_current()->stat(path, ret_facts);
  while (result != 0 && try_again(&p));
  return result;
}

/* ---- questions ---- */

bool plm_file_exists(const char *path) {
  struct stat facts;
  return plm_fs_stat(path, &facts) == 0;
}

bool plm_directory_holds(const char *directory, const char *name) {
  char path[PATH_MAX];
  const int length = snprintf(path, sizeof path, "%s/%s", directory, name);
  return length < (int)sizeof path && plm_file_exists(path);
}

bool plm_name_is_taken(const char *path) {
  struct stat facts;
  return plm_file_exists(path) || lstat(path, &facts) == 0;
}

bool plm_file_is_directory(const char *path) {
  struct stat facts;
  return plm_fs_stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

plm_status plm_file_find(const char *path, bool *ret_exists) {
  struct stat facts;
  *ret_exists = plm_fs_stat(path, &facts) == 0;
  return *ret_exists || errno == ENOENT || errno == ENOTDIR ? PLM_OK : plm_file_cannot(PLM_E_INPUT, "read", path);
}

bool plm_file_is_same(const char *a, const char *b) {
  struct stat left, right;
  return plm_fs_stat(a, &left) == 0 && plm_fs_stat(b, &right) == 0 && left.st_dev == right.st_dev &&
         left.st_ino == right.st_ino;
}

plm_status plm_file_size(const char *path, int64_t *ret_bytes) {
  struct stat facts;
  if (plm_fs_stat(path, &facts) != 0) return plm_file_cannot(PLM_E_INPUT, "read", path);
  *ret_bytes = facts.st_size;
  return PLM_OK;
}

/* A path that is still to be made is asked about at its nearest parent that exists. */
plm_status plm_disk_free(const char *path, int64_t *ret_bytes) {
  struct statvfs facts;
  if (statvfs(path, &facts) == 0) {
    int64_t bytes;
    if (__builtin_mul_overflow(facts.f_bavail, facts.f_frsize, &bytes)) bytes = INT64_MAX;
    *ret_bytes = bytes;
    return PLM_OK;
  }
  if (errno != ENOENT) return plm_file_cannot(PLM_E_RESOURCE, "ask for the free space at", path);
  char *parent;
  PLM_TRY(plm_path_parent(path, &parent));
  plm_status status = strcmp(parent, path) == 0 ? plm_fail(PLM_E_RESOURCE, "cannot ask for the free space at %s", path)
                                                : plm_disk_free(parent, ret_bytes);
  plm_free(parent);
  return status;
}

/* ---- reading ---- */

/* pread, or read where there is no position (a pipe, <(command)). */
static ssize_t read_some(int fd, void *data, size_t bytes, int64_t offset) {
  patience p = {0};
  ssize_t got;
  do {
    got = plm_fs_current()->pread(fd, data, bytes, (off_t)offset);
    if (got < 0 && errno == ESPIPE) got = read(fd, data, bytes);
  } while (got < 0 && try_again(&p));
  return got;
}

/* Opening a FIFO would wait until somebody opens it for writing, perhaps for ever. Then reads may wait: in <(command)
 * the writer is there.
 */
static int open_without_waiting(const char *path) {
  int fd = plm_fs_open(path, O_RDONLY | O_NONBLOCK, 0);
  if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return fd;
}

plm_status plm_fs_open_for_reading(const char *path, int *ret_fd, struct stat *ret_facts) {
  patience p = {0};
  int fd;
  do fd = open_without_waiting(path);
  while (fd < 0 && try_again(&p));
  if (fd < 0) return plm_file_cannot(PLM_E_INPUT, "read", path);
  plm_status status = PLM_OK;
  if (fstat(fd, ret_facts) != 0)
    status = plm_file_cannot(PLM_E_INPUT, "read", path);
  else if (S_ISDIR(ret_facts->st_mode))
    status = plm_fail(PLM_E_INPUT, "cannot read %s: it is a directory", path);
  if (status != PLM_OK) {
    plm_fs_current()->close(fd);
    return status;
  }
  *ret_fd = fd;
  return PLM_OK;
}

static plm_status fail_too_large(const char *path, int64_t max_bytes) {
  char limit[PLM_NUMBER_TEXT];
  return plm_fail(PLM_E_INPUT, "cannot read %s: it is larger than %s", path, plm_bytes_text(max_bytes, limit));
}

/* Reads to the end, not to st_size: pipes and files under /proc have none. `*capacity` bytes are
 * there to begin with. */
static plm_status read_to_end(int fd, const char *path, int64_t max_bytes, char **data, size_t *capacity,
                              size_t *ret_bytes) {
  size_t length = 0;
  for (;;) {
    PLM_TRY(PLM_GROW(data, capacity, length + 2)); /* one byte to see the end by, and the NUL */
    ssize_t got = read_some(fd, *data + length, *capacity - length - 1, (int64_t)length);
    if (got < 0) return plm_file_cannot(PLM_E_INPUT, "read", path);
    if (got == 0) break;
    length += (size_t)got;
    if ((int64_t)length > max_bytes) return fail_too_large(path, max_bytes);
  }
  (*data)[length] = '\0';
  *ret_bytes = length;
  return PLM_OK;
}

/* Reading a FIFO before somebody has opened it for writing would find an empty file. */
static void wait_for_writer(int fd) {
  struct pollfd writer = {.fd = fd, .events = POLLIN};
  while (poll(&writer, 1, -1) < 0 && errno == EINTR) continue;
}

static plm_status read_opened(int fd, const struct stat *facts, const char *path, int64_t max_bytes, char **ret_data,
                              size_t *ret_bytes) {
  plm_status status;
  char *data = NULL;
  size_t capacity = facts->st_size > 0 ? (size_t)facts->st_size + 2 : 1 << 16;
  if (facts->st_size > max_bytes) return fail_too_large(path, max_bytes);
  PLM_TRY(PLM_NEW(&data, capacity));
  PLM_TRY_GOTO(read_to_end(fd, path, max_bytes, &data, &capacity, ret_bytes), fail);
  *ret_data = data;
  return PLM_OK;
fail:
  plm_free(data);
  return status;
}

plm_status plm_stream_read(const char *path, int64_t max_bytes, char **ret_data, size_t *ret_bytes) {
  int fd;
  struct stat facts;
  PLM_TRY(plm_fs_open_for_reading(path, &fd, &facts));
  if (S_ISFIFO(facts.st_mode)) wait_for_writer(fd);
  plm_status status = read_opened(fd, &facts, path, max_bytes, ret_data, ret_bytes);
  plm_fs_current()->close(fd);
  return status;
}

plm_status plm_file_read(const char *path, int64_t max_bytes, char **ret_data, size_t *ret_bytes) {
  int fd;
  struct stat facts;
  PLM_TRY(plm_fs_open_for_reading(path, &fd, &facts));
  plm_status status = S_ISREG(facts.st_mode) ? read_opened(fd, &facts, path, max_bytes, ret_data, ret_bytes)
                                             : plm_fail(PLM_E_INPUT, "cannot read %s: it is not a regular file", path);
  plm_fs_current()->close(fd);
  return status;
}

enum { HASH_PIECE = 1 << 20 };

static plm_status hash_to_end(int fd, const char *path, plm_hasher *hasher, char *piece, size_t piece_bytes,
                              int64_t *ret_bytes) {
  for (int64_t offset = 0;;) {
    ssize_t got = read_some(fd, piece, piece_bytes, offset);
    if (got < 0) return plm_file_cannot(PLM_E_INPUT, "read", path);
    *ret_bytes = offset;
    if (got == 0) return PLM_OK;
    plm_hasher_update(hasher, piece, (size_t)got);
    offset += got;
  }
}

plm_status plm_file_hash(const char *path, char *ret_hash, int64_t *ret_bytes) {
  int fd = -1;
  struct stat facts;
  plm_hasher *hasher = NULL;
  char *piece = NULL;
  plm_status status;
  PLM_TRY(plm_fs_open_for_reading(path, &fd, &facts));
  PLM_TRY_GOTO(plm_hasher_create(&hasher), done);
  size_t piece_bytes = facts.st_size > 0 && facts.st_size < HASH_PIECE ? (size_t)facts.st_size : HASH_PIECE;
  PLM_TRY_GOTO(PLM_NEW(&piece, piece_bytes), done);
  PLM_TRY_GOTO(hash_to_end(fd, path, hasher, piece, piece_bytes, ret_bytes), done);
  plm_hasher_hex(hasher, ret_hash);
done:
  plm_free(piece);
  plm_hasher_destroy(hasher);
  plm_fs_current()->close(fd);
  return status;
}

/* ---- paths ---- */

/* Length without trailing slashes; a path of slashes only keeps one. */
static size_t trimmed_length(const char *path, size_t length) {
  while (length > 1 && path[length - 1] == '/') length--;
  return length;
}

plm_status plm_path_join(const char *directory, const char *name, char **ret_path) {
  size_t length = trimmed_length(directory, strlen(directory));
  if (length == 0 || name[0] == '/') return plm_strdup(name, ret_path);
  const char *separator = directory[length - 1] == '/' ? "" : "/";
  return plm_sprintf(ret_path, "%.*s%s%s", (int)length, directory, separator, name);
}

plm_status plm_path_parent(const char *path, char **ret_parent) {
  size_t length = trimmed_length(path, strlen(path));
  while (length > 0 && path[length - 1] != '/') length--;
  if (length == 0) return plm_strdup(".", ret_parent);
  return plm_sprintf(ret_parent, "%.*s", (int)trimmed_length(path, length), path);
}

const char *plm_path_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

/* The home of whom the `length` bytes behind the tilde name; NULL: there is nobody of that name. */
static const char *home_of(const char *user, size_t length) {
  char name[256];
  if (length >= sizeof name) return NULL;
  memcpy(name, user, length);
  name[length] = '\0';
  const struct passwd *found = getpwnam(name);
  return found != NULL ? found->pw_dir : NULL;
}

plm_status plm_path_expand_home(const char *path, const char *subject, char **ret_path) {
  if (path[0] != '~') return plm_strdup(path, ret_path);
  const size_t user = strcspn(path + 1, "/");
  const char *home = user == 0 ? getenv("HOME") : home_of(path + 1, user), *rest = path + 1 + user;
  if (user == 0 && (home == NULL || *home == '\0'))
    return plm_hint(plm_fail(PLM_E_USAGE, "%s: HOME is not set, so that it is not known where ~ is", subject),
                    "write the whole path; ./%s is a directory that is called ~", path);
  if (home == NULL) return plm_strdup(path, ret_path);
  rest += strspn(rest, "/");
  return *rest != '\0' ? plm_path_join(home, rest, ret_path) : plm_strdup(home, ret_path);
}

bool plm_path_is_plain(const char *name) {
  return name[0] != '\0' && strchr(name, '/') == NULL && strchr(name, '\\') == NULL && strstr(name, "..") == NULL;
}
