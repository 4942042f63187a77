/* output_file.c */
#include "app/output_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "checkpoint/manifest.h"
#include "hub/model_dir.h"

enum { MOST_LINKS = 40 }; /* as many as the kernel follows */

/* ---- where it really goes ---- */

/* What the link `path` leads to; *ret_next stays NULL when it is none, or absent. */
static plm_status read_link(const char *path, char **ret_next) {
  char words[4096], *parent;
  ssize_t length = readlink(path, words, sizeof words - 1);
  *ret_next = NULL;
  if (length < 0) return PLM_OK;
  words[length] = '\0';
  PLM_TRY(plm_path_parent(path, &parent));
  plm_status status = plm_path_join(parent, words, ret_next);
  plm_free(parent);
  return status;
}

/* A rename would replace a link, not what it leads to. That need not exist yet, so realpath(3) will not do. */
static plm_status follow_links(const char *path, char **ret_target) {
  char *target;
  PLM_TRY(plm_strdup(path, &target));
  for (int i = 0; i < MOST_LINKS; i++) {
    char *next;
    plm_status status = read_link(target, &next);
    if (status == PLM_OK && next == NULL) {
      *ret_target = target;
      return PLM_OK;
    }
    plm_free(target);
    if (status != PLM_OK) return status;
    target = next;
  }
  plm_free(target);
  return plm_fail(PLM_E_USAGE, "--output %s: too many links, one behind the other", path);
}

/* ---- what may be replaced ---- */

static plm_status refuse_kind(plm_status code, const char *path, const char *why) {
  return plm_hint(plm_fail(code, "--output %s: %s", path, why),
                  "give the name of a regular file, or leave --output out");
}

/* What stands in the way is the disk's fault (PLM_E_RESOURCE); what can be written to but not replaced was a mistake. A
 * link of /proc may lead to a file that has been removed: its words name no place. */
static plm_status check_kind(const char *path, const char *target) {
  struct stat found;
  if (stat(path, &found) != 0)
    return plm_path_name(target)[0] == '\0' ? refuse_kind(PLM_E_RESOURCE, path, "is a directory's name") : PLM_OK;
  if (S_ISDIR(found.st_mode)) return refuse_kind(PLM_E_RESOURCE, path, "is a directory");
  if (!S_ISREG(found.st_mode)) return refuse_kind(PLM_E_USAGE, path, "is no regular file");
  return plm_file_is_same(path, target) ? PLM_OK : refuse_kind(PLM_E_USAGE, path, "leads to a file that was removed");
}

static plm_status check_directory(const char *path, const char *directory) {
  static const char elsewhere[] = "give a file in another directory";
  if (plm_file_exists(directory) && !plm_file_is_directory(directory))
    return plm_hint(plm_fail(PLM_E_RESOURCE, "--output %s: %s is a file, not a directory", path, directory), "%s",
                    elsewhere);
  if (!plm_file_is_directory(directory))
    return plm_hint(plm_fail(PLM_E_RESOURCE, "--output %s: there is no directory %s", path, directory),
                    "mkdir -p it first");
  if (plm_directory_holds(directory, PLM_MANIFEST_NAME))
    return plm_hint(
        plm_fail(PLM_E_USAGE, "--output %s: %s is a checkpoint; with a file changed or added it would count as damaged",
                 path, directory),
        "%s", elsewhere);
  if (access(directory, W_OK) == 0) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_RESOURCE, "--output %s: cannot write to %s: %s", path, directory, strerror(errno)),
                  "%s", elsewhere);
}

static plm_status check_target(const char *path, const char *target) {
  char *parent;
  PLM_TRY(check_kind(path, target));
  PLM_TRY(plm_path_parent(target, &parent));
  plm_status status = check_directory(path, parent);
  plm_free(parent);
  return status;
}

/* ---- what is read ---- */

static plm_status check_input(const char *path, const char *input) {
  bool is_stream = strcmp(input, "-") == 0;
  if (!plm_file_is_same(path, is_stream ? "/dev/stdin" : input)) return PLM_OK;
  const char *words = is_stream ? "standard input" : input;
  return plm_hint(
      plm_fail(PLM_E_USAGE, "--output %s: %s is read by this command and would be overwritten", path, words),
      "give another name");
}

static plm_status check_files_in(const char *path, const char *directory) {
  char **names, *input;
  size_t count;
  PLM_TRY(plm_directory_list(directory, &names, &count));
  plm_status status = PLM_OK;
  for (size_t i = 0; i < count && status == PLM_OK; i++) {
    status = plm_path_join(directory, names[i], &input);
    if (status != PLM_OK) break;
    status = check_input(path, input);
    plm_free(input);
  }
  plm_names_free(names, count);
  return status;
}

/* What is wrong with the model is said by those who read it. */
static plm_status check_model(const char *path, const char *model) {
  char *directory;
  if (model == NULL || plm_model_is_preset(model)) return PLM_OK;
  if (plm_model_dir_resolve(model, &directory) != PLM_OK) {
    plm_error_clear();
    return PLM_OK;
  }
  plm_status status = check_files_in(path, directory);
  plm_free(directory);
  return status;
}

static plm_status check_inputs(const char *path, const plm_output_inputs *inputs) {
  if (!plm_file_exists(path)) return PLM_OK; /* a new file is nobody's input */
  for (size_t i = 0; i < sizeof inputs->files / sizeof *inputs->files; i++)
    for (size_t j = 0; j < inputs->files[i].count; j++) PLM_TRY(check_input(path, inputs->files[i].items[j]));
  return check_model(path, inputs->model);
}

plm_status plm_output_file_check(const char *path, const plm_output_inputs *inputs) {
  char *target;
  PLM_TRY(follow_links(path, &target));
  plm_status status = check_target(path, target);
  plm_free(target);
  return status == PLM_OK ? check_inputs(path, inputs) : status;
}

/* ---- writing ---- */

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
  char *target = NULL, *parent = NULL, *temporary = NULL, *name = NULL;
  plm_status status;
  PLM_TRY_GOTO(follow_links(path, &target), done);
  PLM_TRY_GOTO(check_target(path, target), done);
  PLM_TRY_GOTO(plm_path_parent(target, &parent), done);
  PLM_TRY_GOTO(plm_sprintf(&name, "tmp-%s-%ld", plm_path_name(target), (long)getpid()), done);
  PLM_TRY_GOTO(plm_path_join(parent, name, &temporary), done);
  PLM_TRY_GOTO(plm_file_remove(temporary), done);
  PLM_TRY_GOTO(write(user, temporary), discard);
  PLM_TRY_GOTO(publish(temporary, target), discard);
  goto done;
discard:
  discard(temporary);
done:
  plm_free(temporary);
  plm_free(name);
  plm_free(parent);
  plm_free(target);
  return status;
}

static plm_status write_tensors(void *user, const char *path) { return plm_safetensors_write(path, user, NULL, NULL); }

plm_status plm_output_file_tensors(const char *path, const plm_tensor_list *list) {
  return plm_output_file_replace(path, write_tensors, (void *)(uintptr_t)list);
}
