/* file_internal.h - what the chapters of the file layer share. Only src/base/file*.c include it. */
#ifndef PLM_BASE_FILE_INTERNAL_H
#define PLM_BASE_FILE_INTERNAL_H

#include "base/file.h"

const plm_fs *plm_fs_current(void);

/* open(2) with O_CLOEXEC, tried again when a signal interrupts it. -1 and errno. */
int plm_fs_open(const char *path, int flags, mode_t mode);

/* stat(2), patiently. -1 and errno. */
int plm_fs_stat(const char *path, struct stat *ret_facts);

/* Open for reading; directories are refused here, since opening them works. PLM_E_INPUT. */
PLM_CHECKED plm_status plm_fs_open_for_reading(const char *path, int *ret_fd, struct stat *ret_facts);

/* All bytes or a failure that names `path`; short writes are continued. */
PLM_CHECKED plm_status plm_fs_write_all(int fd, const char *path, const void *data, size_t bytes);
PLM_CHECKED plm_status plm_fs_sync(int fd, const char *path);
PLM_CHECKED plm_status plm_fs_close(int fd, const char *path); /* the descriptor is gone in any case */

/* "cannot <verb> <path>: <what errno says>", with a hint for the errors that have a usual remedy. Returns `code`. */
#define plm_file_cannot(code, verb, path) plm_same_status((code), plm_file_report((code), (verb), (path)))
plm_status plm_file_report(plm_status code, const char *verb, const char *path);

/* The n-th name for a temporary beside `path`: "tmp-<name>-<pid>-<n>". */
PLM_CHECKED plm_status plm_path_temporary(const char *path, int n, char **ret_path);
enum { PLM_TEMPORARY_TRIES = 100 }; /* more leftovers of one process id than that are no accident */

#endif
