/* file_tree.c - directories, renaming, removing, links. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_internal.h"

/* ---- listing ---- */

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static plm_status read_names(DIR *directory, const char *path, char ***names, size_t *count) {
  size_t capacity = 0;
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(directory);
    if (entry == NULL) return errno == 0 ? PLM_OK : plm_file_cannot(PLM_E_INPUT, "list", path);
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    PLM_TRY(PLM_GROW(names, &capacity, *count + 1));
    PLM_TRY(plm_strdup(entry->d_name, &(*names)[*count]));
    ++*count;
  }
}

plm_status plm_directory_list(const char *path, char ***ret_names, size_t *ret_count) {
  DIR *directory = opendir(path);
  if (directory == NULL) return plm_file_cannot(PLM_E_INPUT, "list", path);
  char **names = NULL;
  size_t count = 0;
  plm_status status = read_names(directory, path, &names, &count);
  closedir(directory);
  if (status != PLM_OK) {
    plm_names_free(names, count);
    return status;
  }
  if (count > 0) qsort(names, count, sizeof *names, compare_names);
  *ret_names = names;
  *ret_count = count;
  return PLM_OK;
}

void plm_names_free(char **names, size_t count) {
  for (size_t i = 0; i < count; i++) plm_free(names[i]);
  plm_free(names);
}

/* ---- making ---- */

plm_status plm_directory_create(const char *path) {
  if (plm_fs_current()->mkdir(path, 0777) == 0) return PLM_OK;
  return plm_file_cannot(PLM_E_RESOURCE, "make the directory", path);
}

/* What exists is asked first: mkdir of an existing directory on a read-only or automounted parent says other things
 * than EEXIST. */
plm_status plm_directory_make(const char *path) {
  struct stat facts;
  if (plm_fs_current()->stat(path, &facts) == 0) {
    if (S_ISDIR(facts.st_mode)) return PLM_OK;
    return plm_hint(plm_fail(PLM_E_RESOURCE, "cannot make the directory %s: a file of that name exists", path),
                    "choose another name");
  }
  char *parent, target[1024];
  plm_status status;
  if (plm_link_is_dangling(path, target, sizeof target))
    return plm_hint(plm_fail(PLM_E_RESOURCE, "cannot make the directory %s: the link leads to %s, which is not there",
                             path, target),
                    "was it on a scratch that has been purged? make that directory again, or choose another name");
  PLM_TRY(plm_path_parent(path, &parent));
  if (strcmp(parent, path) != 0) PLM_TRY_GOTO(plm_directory_make(parent), done);
  status = plm_directory_create(path);
  if (status != PLM_OK && plm_file_is_directory(path)) status = PLM_OK; /* another process was faster */
  PLM_TRY_GOTO(status, done);
  PLM_TRY_GOTO(plm_directory_sync(parent), done);
done:
  plm_free(parent);
  return status;
}

/* File systems that cannot sync a directory say EINVAL or ENOTSUP; there is nothing more to be had from them. */
plm_status plm_directory_sync(const char *path) {
  int fd = plm_fs_open(path, O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return plm_file_cannot(PLM_E_RESOURCE, "sync the directory", path);
  plm_status status = PLM_OK;
  if (plm_fs_current()->fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
    status = plm_file_cannot(PLM_E_RESOURCE, "sync the directory", path);
  if (status == PLM_OK) return plm_fs_close(fd, path);
  plm_fs_current()->close(fd);
  return status;
}

/* ---- renaming and removing ---- */

plm_status plm_file_rename(const char *from, const char *to) {
  if (plm_fs_current()->rename(from, to) == 0) return PLM_OK;
  char verb[512];
  int error = errno;
  snprintf(verb, sizeof verb, "rename %s to", from);
  errno = error;
  return plm_file_cannot(PLM_E_RESOURCE, verb, to);
}

plm_status plm_file_remove(const char *path) {
  if (plm_fs_current()->unlink(path) == 0 || errno == ENOENT) return PLM_OK;
  return plm_file_cannot(PLM_E_RESOURCE, "remove", path);
}

/* POSIX lets a file system say EEXIST for ENOTEMPTY. */
plm_status plm_directory_remove_empty(const char *path) {
  if (plm_fs_current()->rmdir(path) == 0 || errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST) return PLM_OK;
  return plm_file_cannot(PLM_E_RESOURCE, "remove the directory", path);
}

static plm_status remove_children(const char *path) {
  char **names;
  size_t count;
  PLM_TRY(plm_directory_list(path, &names, &count));
  plm_status status = PLM_OK;
  for (size_t i = 0; i < count && status == PLM_OK; i++) {
    char *child;
    status = plm_path_join(path, names[i], &child);
    if (status != PLM_OK) break;
    status = plm_tree_remove(child);
    plm_free(child);
  }
  plm_names_free(names, count);
  return status;
}

plm_status plm_tree_remove(const char *path) {
  struct stat facts;
  if (lstat(path, &facts) != 0) return errno == ENOENT ? PLM_OK : plm_file_cannot(PLM_E_RESOURCE, "remove", path);
  if (!S_ISDIR(facts.st_mode)) return plm_file_remove(path);
  PLM_TRY(remove_children(path));
  if (plm_fs_current()->rmdir(path) == 0 || errno == ENOENT) return PLM_OK;
  return plm_file_cannot(PLM_E_RESOURCE, "remove the directory", path);
}

/* ---- links ---- */

bool plm_link_is_dangling(const char *path, char *target, size_t room) {
  struct stat facts;
  if (stat(path, &facts) == 0 || (errno != ENOENT && errno != ENOTDIR)) return false;
  ssize_t length = readlink(path, target, room - 1);
  if (length < 0) return false;
  target[length] = '\0';
  return true;
}

static plm_status make_temporary_link(const char *target, const char *path, char **ret_temporary) {
  for (int n = 0; n < PLM_TEMPORARY_TRIES; n++) {
    char *temporary;
    PLM_TRY(plm_path_temporary(path, n, &temporary));
    if (plm_fs_current()->symlink(target, temporary) == 0) {
      *ret_temporary = temporary;
      return PLM_OK;
    }
    int error = errno;
    plm_free(temporary);
    errno = error;
    if (error != EEXIST) break;
  }
  return plm_file_cannot(PLM_E_RESOURCE, "make the link", path);
}

plm_status plm_link_replace(const char *target, const char *path) {
  char *temporary;
  PLM_TRY(make_temporary_link(target, path, &temporary));
  plm_status status = plm_file_rename(temporary, path);
  if (status != PLM_OK) plm_fs_current()->unlink(temporary);
  plm_free(temporary);
  return status;
}
