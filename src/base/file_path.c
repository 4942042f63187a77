/* file_path.c - taking paths apart and putting them together; no system calls. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

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

bool plm_path_is_plain(const char *name) {
  return name[0] != '\0' && strchr(name, '/') == NULL && strchr(name, '\\') == NULL && strstr(name, "..") == NULL;
}
