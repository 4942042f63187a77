/* file.h - the file layer: the only caller of open, write, fsync, close, rename, mkdir, unlink, flock.
 *
 * Everything protlm writes for keeps goes through here, and here through one table of system calls (plm_fs), so a test
 * can make the n-th call fail, cut a write short, or lose what was not synced before a "power cut". Reads of our own
 * formats use it too. Messages name the path and what the system said; codes: PLM_E_INPUT for something the user gave
 * to read, PLM_E_RESOURCE for something we cannot write. What only looks or reads is tried again after EINTR, and up to
 * 3 times with a pause after EAGAIN or EIO.
 */
#ifndef PLM_BASE_FILE_H
#define PLM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "protlm/status.h"

/* ---- the table of system calls; each behaves as its namesake, -1 and errno ---- */
typedef struct plm_fs {
  int (*open)(const char *path, int flags, mode_t mode);
  ssize_t (*write)(int fd, const void *data, size_t bytes);
  ssize_t (*pread)(int fd, void *data, size_t bytes, off_t offset);
  int (*fsync)(int fd);
  int (*close)(int fd);
  int (*rename)(const char *from, const char *to);
  int (*mkdir)(const char *path, mode_t mode);
  int (*rmdir)(const char *path);
  int (*unlink)(const char *path);
  int (*symlink)(const char *target, const char *path);
  int (*ftruncate)(int fd, off_t length);
  int (*stat)(const char *path, struct stat *ret_stat); /* follows links */
} plm_fs;
void plm_fs_set(const plm_fs *table); /* NULL: the real one */
const plm_fs *plm_fs_real(void);

/* ---- questions ---- */
bool plm_file_exists(const char *path);
bool plm_file_is_directory(const char *path);
bool plm_directory_holds(const char *directory, const char *name); /* a file or a directory of this name */
/* Where absent and cannot-say must be told apart (a log taken for absent would be started afresh): fails on anything
 * but "no such file". */
PLM_CHECKED plm_status plm_file_find(const char *path, bool *ret_exists);
bool plm_file_is_same(const char *a, const char *b); /* both there, and one file under two names */
bool plm_name_is_taken(const char *path);            /* by anything, a link that leads nowhere included */
PLM_CHECKED plm_status plm_file_size(const char *path, int64_t *ret_bytes);
PLM_CHECKED plm_status plm_disk_free(const char *path, int64_t *ret_bytes); /* what this user may still write there */

/* ---- reading ---- */
/* The whole file, with a NUL after its last byte; refuses directories, unreadable files, more than `max_bytes`, and what
 * is no regular file and might hold us up for ever (PLM_E_INPUT). */
PLM_CHECKED plm_status plm_file_read(const char *path, int64_t max_bytes, char **ret_data, size_t *ret_bytes);

/* The same, of a pipe, a FIFO or a device too; waits for the writer, and for its last byte. */
PLM_CHECKED plm_status plm_stream_read(const char *path, int64_t max_bytes, char **ret_data, size_t *ret_bytes);

/* XXH3-128 (hex, 33 bytes) and size of a file's content, in bounded memory. */
PLM_CHECKED plm_status plm_file_hash(const char *path, char *ret_hash, int64_t *ret_bytes);

/* A regular file as read-only memory. Empty files map to a valid pointer.
 * Reading what the file no longer has, as it was cut short since, raises SIGBUS: see base/lost_file.h. */
typedef struct plm_mapping {
  const void *data;
  size_t bytes;
  void *base; /* private, as is what follows */
  dev_t device;
  ino_t inode;
  struct timespec modified;
} plm_mapping;
PLM_CHECKED plm_status plm_file_map(const char *path, plm_mapping *ret_mapping);
void plm_file_unmap(plm_mapping *mapping);

/* These bytes of a mapping will not be read soon: their pages leave our memory. Reading them again
 * works, from the file. */
void plm_file_let_go(const void *data, size_t bytes);

/* What `path` says of the file that was mapped from it. A file that has taken its name or is gone leaves the mapping as
 * it was. */
typedef enum plm_file_change {
  PLM_FILE_UNCHANGED,
  PLM_FILE_TOUCHED, /* written to, perhaps with the same bytes */
  PLM_FILE_CUT      /* shorter than the mapping, whose end must not be read */
} plm_file_change;
plm_file_change plm_file_check_unchanged(const char *path, const plm_mapping *mapping);

/* Names in a directory, sorted bytewise, without "." and "..". Free with plm_names_free. */
PLM_CHECKED plm_status plm_directory_list(const char *path, char ***ret_names, size_t *ret_count);
void plm_names_free(char **names, size_t count);

/* ---- writing ---- */
/* A writer makes a new file (O_EXCL), hashes and counts what passes through, and at close has synced it, closed it with
 * the result checked and read its size again. Until plm_writer_close succeeds nothing may be believed. */
typedef struct plm_writer plm_writer;
PLM_CHECKED plm_status plm_writer_open(const char *path, plm_writer **ret_writer);
PLM_CHECKED plm_status plm_writer_write(plm_writer *writer, const void *data, size_t bytes);
int64_t plm_writer_bytes(const plm_writer *writer);
/* Sync, close, verify. The writer is freed and *writer NULL in any case. On failure the file is removed. `ret_hash` (33
 * bytes) is optional: XXH3-128 hex. */
PLM_CHECKED plm_status plm_writer_close(plm_writer **writer, char *ret_hash);
void plm_writer_abandon(plm_writer *writer); /* close and remove the file; accepts NULL */

/* Replace `path` by these bytes or leave it as it was: temporary beside it, sync, rename, sync the directory.
 * Temporaries are named tmp-*, so that what a killed process left can be recognised. */
PLM_CHECKED plm_status plm_file_replace(const char *path, const void *data, size_t bytes);

/* The same for a thread that may neither ask for memory nor wait for a lock: the names are the caller's, and so is what
 * to say when it is false. `temporary` is replaced if it is there. */
bool plm_file_replace_plainly(const char *temporary, const char *path, const void *data, size_t bytes);

/* A file that grows by whole lines (logs). Opened for append, made if absent; each append is one write call, and what
 * could not be written whole is taken back. Close syncs; it frees the appender and leaves *appender NULL in any case.
 */
typedef struct plm_appender plm_appender;
PLM_CHECKED plm_status plm_appender_open(const char *path, plm_appender **ret_appender);
PLM_CHECKED plm_status plm_appender_write(plm_appender *appender, const void *data, size_t bytes);
PLM_CHECKED plm_status plm_appender_sync(plm_appender *appender);   /* all lines so far survive a power cut */
PLM_CHECKED plm_status plm_appender_close(plm_appender **appender); /* accepts a NULL in it */

/* ---- directories and names ---- */
PLM_CHECKED plm_status plm_directory_make(const char *path);   /* with parents, each synced; existing is fine */
PLM_CHECKED plm_status plm_directory_create(const char *path); /* must not exist */
PLM_CHECKED plm_status plm_directory_sync(const char *path);
PLM_CHECKED plm_status plm_file_rename(const char *from, const char *to); /* does not sync the parent */
PLM_CHECKED plm_status plm_file_remove(const char *path);                 /* absent is fine */
PLM_CHECKED plm_status
plm_directory_remove_empty(const char *path);             /* absent is fine; what holds something stays, as success */
PLM_CHECKED plm_status plm_tree_remove(const char *path); /* absent is fine; never follows links */
/* symbolic link by temporary + rename; no sync */
PLM_CHECKED plm_status plm_link_replace(const char *target, const char *path);
/* Is it a link to what is not there? Then `target` (room > 0 bytes, cut to them) is where it leads. */
bool plm_link_is_dangling(const char *path, char *target, size_t room);

/* ---- lock ---- flock(2): gone with the process however it ends. Where the file system has none, a warning says so and
 * the lock is had. */
typedef struct plm_lock plm_lock;
/* Takes the lock or says at once that another holds it (*ret_held_elsewhere, PLM_OK, *ret_lock NULL). `note` is written
 * into the file ("host pid"), for the other's message; *ret_holder (optional) is the note found when held elsewhere, to
 * be freed. */
PLM_CHECKED plm_status plm_lock_take(const char *path, const char *note, plm_lock **ret_lock, bool *ret_held_elsewhere,
                                     char **ret_holder);
void plm_lock_release(plm_lock *lock); /* accepts NULL */

/* ---- paths ---- results are allocated */
PLM_CHECKED plm_status plm_path_join(const char *directory, const char *name, char **ret_path);
PLM_CHECKED plm_status plm_path_parent(const char *path, char **ret_parent); /* "." when there is none */
const char *plm_path_name(const char *path);                                 /* after the last '/' */
/* "~", "~/x" and "~user/x" as a shell reads them; anything else, a name like ~x of no user too, as it is. PLM_E_USAGE,
 * beginning with `subject` ("--train ~/x"), where HOME is not set. A name that begins so is written ./~x. */
PLM_CHECKED plm_status plm_path_expand_home(const char *path, const char *subject, char **ret_path);
/* The name of a file that lies beside another one, wherever the name came from: it leads nowhere else. */
bool plm_path_is_plain(const char *name);

/* ---- whole files of text ---- in `directory` */
/* A new one, synced; hash and size as plm_writer_close says them, each optional. */
PLM_CHECKED plm_status plm_file_create(const char *directory, const char *name, const char *text, char *ret_hash,
                                       int64_t *ret_bytes);
/* In place of what was there (plm_file_replace). */
PLM_CHECKED plm_status plm_file_replace_text(const char *directory, const char *name, const char *text);

#endif
