/* output_file.c */
#include "app/output_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

plm_status plm_output_file_check(const char *path) {
  struct stat found;
  if (stat(path, &found) == 0 && !S_ISREG(found.st_mode))
    return plm_hint(plm_fail(PLM_E_USAGE, "--output %s: %s", path, S_ISDIR(found.st_mode) ? "is a directory" : "is no regular file"),
                    "name a file; results without --output go to standard output");
  char *parent;
  PLM_TRY(plm_path_parent(path, &parent));
  plm_status status = PLM_OK;
  if (!plm_file_is_directory(parent))
    status = plm_hint(plm_fail(PLM_E_RESOURCE, "--output %s: there is no directory %s", path, parent), "mkdir -p it first");
  else if (access(parent, W_OK) != 0)
    status = plm_fail(PLM_E_RESOURCE, "--output %s: cannot write to %s: %s", path, parent, strerror(errno));
  plm_free(parent);
  return status;
}

static plm_status publish(const char *temporary, const char *path) {
  char *parent;
  PLM_TRY(plm_file_rename(temporary, path));
  PLM_TRY(plm_path_parent(path, &parent));
  plm_status status = plm_directory_sync(parent);
  plm_free(parent);
  return status;
}

/* A failed removal of the temporary must not hide why it is removed. */
static void discard(const char *temporary) {
  plm_error_record why;
  plm_error_take(PLM_E_RESOURCE, &why);
  if (plm_file_remove(temporary) != PLM_OK) plm_error_clear();
  (void)plm_error_give(&why);
}

plm_status plm_output_file_replace(const char *path, plm_output_file_fn *write, void *user) {
  char *parent = NULL, *temporary = NULL, *name = NULL;
  plm_status status;
  PLM_TRY(plm_output_file_check(path));
  PLM_TRY_GOTO(plm_path_parent(path, &parent), done);
  PLM_TRY_GOTO(plm_sprintf(&name, "tmp-%s-%ld", plm_path_name(path), (long)getpid()), done);
  PLM_TRY_GOTO(plm_path_join(parent, name, &temporary), done);
  PLM_TRY_GOTO(plm_file_remove(temporary), done);
  PLM_TRY_GOTO(write(user, temporary), discard);
  PLM_TRY_GOTO(publish(temporary, path), discard);
  goto done;
discard:
  discard(temporary);
done:
  plm_free(temporary);
  plm_free(name);
  plm_free(parent);
  return status;
}

typedef struct tensors {
  const plm_tensor_info *entries;
  size_t count;
  plm_tensor_fill *fill;
  void *user;
} tensors;

static plm_status write_tensors(void *user, const char *path) {
  const tensors *t = user;
  return plm_safetensors_write(path, t->entries, t->count, t->fill, t->user, NULL, NULL);
}

plm_status plm_output_file_tensors(const char *path, const plm_tensor_info *entries, size_t count, plm_tensor_fill *fill, void *user) {
  tensors t = {.entries = entries, .count = count, .fill = fill, .user = user};
  return plm_output_file_replace(path, write_tensors, &t);
}
