/* file_write.c - writing for keeps: the writer of new files, replacement, and logs that grow by lines.
 *
 * The order is Redis': write, fsync, close, rename, fsync the directory, each checked. On network file systems write
 * succeeds and the full disk shows only at fsync or close, so until plm_writer_close has returned PLM_OK nothing is
 * known to be there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_internal.h"
#include "base/hash.h"
#include "base/text.h"
#include "protlm/log.h"

enum { BUFFER_BYTES = 1 << 18 };

/* ---- the writer ---- */

struct plm_writer {
  char *path;
  int fd;
  int64_t bytes; /* taken so far, buffered ones included */
  plm_hasher *hasher;
  size_t buffered;
  char *buffer; /* (BUFFER_BYTES) gathers small writes; large ones go past it */
};

/* Free everything but what is on disk. */
static void free_writer(plm_writer *writer) {
  plm_hasher_destroy(writer->hasher);
  plm_free(writer->buffer);
  plm_free(writer->path);
  plm_free(writer);
}

plm_status plm_writer_open(const char *path, plm_writer **ret_writer) {
  plm_writer *writer;
  plm_status status;
  PLM_TRY(PLM_NEW(&writer, 1));
  PLM_TRY_GOTO(plm_strdup(path, &writer->path), fail);
  PLM_TRY_GOTO(PLM_NEW(&writer->buffer, BUFFER_BYTES), fail);
  PLM_TRY_GOTO(plm_hasher_create(&writer->hasher), fail);
  writer->fd = plm_fs_open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (writer->fd < 0) {
    status = plm_file_cannot(PLM_E_RESOURCE, "create", path);
    goto fail;
  }
  *ret_writer = writer;
  return PLM_OK;
fail:
  free_writer(writer);
  return status;
}

static plm_status flush(plm_writer *writer) {
  PLM_TRY(plm_fs_write_all(writer->fd, writer->path, writer->buffer, writer->buffered));
  writer->buffered = 0;
  return PLM_OK;
}

plm_status plm_writer_write(plm_writer *writer, const void *data, size_t bytes) {
  plm_hasher_update(writer->hasher, data, bytes);
  writer->bytes += (int64_t)bytes;
  if (bytes > BUFFER_BYTES - writer->buffered) PLM_TRY(flush(writer));
  if (bytes >= BUFFER_BYTES) return plm_fs_write_all(writer->fd, writer->path, data, bytes);
  if (bytes > 0) memcpy(writer->buffer + writer->buffered, data, bytes);
  writer->buffered += bytes;
  return PLM_OK;
}

int64_t plm_writer_bytes(const plm_writer *writer) { return writer->bytes; }

/* The size is read again by name: what counts is what the next reader finds. */
static plm_status check_size(const plm_writer *writer) {
  struct stat facts;
  if (plm_fs_current()->stat(writer->path, &facts) != 0)
    return plm_file_cannot(PLM_E_RESOURCE, "find again", writer->path);
  if (facts.st_size == writer->bytes) return PLM_OK;
  return plm_fail(PLM_E_RESOURCE, "%s has %lld %s after %lld were written: the file system lost some", writer->path,
                  (long long)facts.st_size, plm_plural(facts.st_size, "byte", "bytes"), (long long)writer->bytes);
}

plm_status plm_writer_close(plm_writer **closing, char *ret_hash) {
  plm_writer *writer = *closing;
  plm_status status;
  *closing = NULL;
  PLM_TRY_GOTO(flush(writer), fail);
  PLM_TRY_GOTO(plm_fs_sync(writer->fd, writer->path), fail);
  int fd = writer->fd;
  writer->fd = -1;
  PLM_TRY_GOTO(plm_fs_close(fd, writer->path), fail);
  PLM_TRY_GOTO(check_size(writer), fail);
  if (ret_hash != NULL) plm_hasher_hex(writer->hasher, ret_hash);
  free_writer(writer);
  return PLM_OK;
fail:
  plm_writer_abandon(writer);
  return status;
}

void plm_writer_abandon(plm_writer *writer) {
  if (writer == NULL) return;
  if (writer->fd >= 0) plm_fs_current()->close(writer->fd);
  plm_fs_current()->unlink(writer->path);
  free_writer(writer);
}

/* ---- replacement ---- */

/* A writer on a new temporary beside `path`. A name may be left over from a killed process that had our process id. */
static plm_status open_temporary(const char *path, char **ret_temporary, plm_writer **ret_writer) {
  plm_status status = PLM_OK;
  for (int n = 0; n < PLM_TEMPORARY_TRIES; n++) {
    char *temporary;
    PLM_TRY(plm_path_temporary(path, n, &temporary));
    status = plm_writer_open(temporary, ret_writer);
    if (status == PLM_OK) {
      *ret_temporary = temporary;
      return PLM_OK;
    }
    bool is_taken = plm_file_exists(temporary); /* one that we made would be gone again */
    plm_free(temporary);
    if (!is_taken) break;
  }
  return status;
}

plm_status plm_file_replace(const char *path, const void *data, size_t bytes) {
  char *temporary = NULL, *parent = NULL;
  plm_writer *writer = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_path_parent(path, &parent), done);
  PLM_TRY_GOTO(open_temporary(path, &temporary, &writer), done);
  PLM_TRY_GOTO(plm_writer_write(writer, data, bytes), done);
  PLM_TRY_GOTO(plm_writer_close(&writer, NULL), done);
  status = plm_file_rename(temporary, path);
  if (status != PLM_OK) {
    plm_fs_current()->unlink(temporary);
    goto done;
  }
  PLM_TRY_GOTO(plm_directory_sync(parent), done);
done:
  plm_writer_abandon(writer);
  plm_free(temporary);
  plm_free(parent);
  return status;
}

bool plm_file_replace_plainly(const char *temporary, const char *path, const void *data, size_t bytes) {
  const plm_fs *fs = plm_fs_current();
  const int fd = plm_fs_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0) return false;
  bool is_good = fs->write(fd, data, bytes) == (ssize_t)bytes && fs->fsync(fd) == 0;
  is_good &= fs->close(fd) == 0;
  return is_good && fs->rename(temporary, path) == 0;
}

/* ---- logs ---- */

struct plm_appender {
  char *path;
  int fd;
  int64_t bytes; /* length of the file: whole lines */
  bool is_gone;  /* and that has been said */
};

static void free_appender(plm_appender *appender) {
  plm_free(appender->path);
  plm_free(appender);
}

plm_status plm_appender_open(const char *path, plm_appender **ret_appender) {
  plm_appender *appender;
  plm_status status;
  PLM_TRY(PLM_NEW(&appender, 1));
  appender->fd = -1;
  PLM_TRY_GOTO(plm_strdup(path, &appender->path), fail);
  /* a FIFO is no log, and must not wait for a reader */
  appender->fd = plm_fs_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0666);
  struct stat facts = {0};
  if (appender->fd < 0 || fstat(appender->fd, &facts) != 0)
    status = plm_file_cannot(PLM_E_RESOURCE, "open for appending", path);
  else if (!S_ISREG(facts.st_mode))
    status = plm_hint(plm_fail(PLM_E_RESOURCE, "cannot append to %s: it is no regular file", path), "remove it");
  if (status != PLM_OK) goto fail;
  appender->bytes = facts.st_size;
  *ret_appender = appender;
  return PLM_OK;
fail:
  if (appender->fd >= 0) plm_fs_current()->close(appender->fd);
  free_appender(appender);
  return status;
}

/* A line that could not be written whole is taken back, so that the next one does not continue its half. */
plm_status plm_appender_write(plm_appender *appender, const void *data, size_t bytes) {
  plm_status status = plm_fs_write_all(appender->fd, appender->path, data, bytes);
  if (status == PLM_OK)
    appender->bytes += (int64_t)bytes;
  else
    plm_fs_current()->ftruncate(appender->fd, (off_t)appender->bytes);
  return status;
}

/* Whoever removes a log that is being written learns of it while the run can still be told to save. */
static void warn_if_removed(plm_appender *appender) {
  struct stat facts;
  if (appender->is_gone || fstat(appender->fd, &facts) != 0 || facts.st_nlink > 0) return;
  appender->is_gone = true;
  plm_warn("%s was removed while it is written to: its lines are lost when this run ends", appender->path);
}

plm_status plm_appender_sync(plm_appender *appender) {
  warn_if_removed(appender);
  return plm_fs_sync(appender->fd, appender->path);
}

plm_status plm_appender_close(plm_appender **closing) {
  plm_appender *appender = *closing;
  *closing = NULL;
  if (appender == NULL) return PLM_OK;
  plm_status status = plm_fs_sync(appender->fd, appender->path);
  if (status == PLM_OK)
    status = plm_fs_close(appender->fd, appender->path);
  else
    plm_fs_current()->close(appender->fd);
  free_appender(appender);
  return status;
}

/* ---- whole files of text ---- */

plm_status plm_file_create(const char *directory, const char *name, const char *text, char *ret_hash,
                           int64_t *ret_bytes) {
  char *path;
  plm_writer *writer = NULL;
  plm_status status;
  PLM_TRY(plm_path_join(directory, name, &path));
  PLM_TRY_GOTO(plm_writer_open(path, &writer), done);
  PLM_TRY_GOTO(plm_writer_write(writer, text, strlen(text)), done);
  if (ret_bytes != NULL) *ret_bytes = plm_writer_bytes(writer);
  PLM_TRY_GOTO(plm_writer_close(&writer, ret_hash), done);
done:
  plm_writer_abandon(writer);
  plm_free(path);
  return status;
}

plm_status plm_file_replace_text(const char *directory, const char *name, const char *text) {
  char *path;
  PLM_TRY(plm_path_join(directory, name, &path));
  plm_status status = plm_file_replace(path, text, strlen(text));
  plm_free(path);
  return status;
}
