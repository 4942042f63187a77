/* list.c - which checkpoints a run has, which of them to go on from, and removing those no longer wanted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "checkpoint/internal.h"
#include "checkpoint/manifest.h"
#include "protlm/log.h"

/* ---- verifying ---- */

/* Manifest, names and sizes; deep: content too. */
static plm_status check_directory(const char *path, bool deep, plm_manifest *ret_manifest) {
  PLM_TRY(plm_manifest_read(path, ret_manifest));
  return plm_manifest_check(ret_manifest, path, deep);
}

plm_status plm_checkpoint_verify(const char *path) {
  plm_manifest manifest;
  return check_directory(path, true, &manifest);
}

/* ---- whose it is ---- */

static bool has_any(const char *path, const char *const *names, size_t count) {
  bool found = false;
  for (size_t i = 0; i < count && !found; i++) {
    char *file = NULL;
    found = plm_path_join(path, names[i], &file) == PLM_OK && plm_file_exists(file);
    plm_free(file);
  }
  return found;
}

bool plm_checkpoint_is_ours(const char *path) {
  static const char *const ours[] = {PLM_MANIFEST_NAME, PLM_CHECKPOINT_STATE, PLM_CHECKPOINT_OPTIMIZER};
  return has_any(path, ours, sizeof ours / sizeof *ours);
}

const char *plm_checkpoint_other_writer(const char *path) {
  static const char *const trainer[] = {
      "training_args.bin",         "optimizer.pt", "optimizer.bin", "scheduler.pt", "rng_state.pth", "rng_state_0.pth",
      PLM_CHECKPOINT_TRAINER_STATE};
  static const char *const others[] = {"config.json", PLM_CHECKPOINT_WEIGHTS, "pytorch_model.bin",
                                       "adapter_config.json"};
  if (plm_checkpoint_is_ours(path)) return NULL;
  if (has_any(path, trainer, sizeof trainer / sizeof *trainer)) return "transformers' Trainer";
  return has_any(path, others, sizeof others / sizeof *others) ? "another program" : NULL;
}

bool plm_checkpoint_is_foreign(const char *path, char problem[PLM_FOREIGN_TEXT]) {
  char target[PLM_FOREIGN_TEXT - 64];
  const char *writer = plm_checkpoint_other_writer(path);
  if (plm_link_is_dangling(path, target, sizeof target))
    snprintf(problem, PLM_FOREIGN_TEXT, "the link leads to %s, which is not there", target);
  else if (plm_checkpoint_is_ours(path))
    return false;
  else if (writer != NULL)
    snprintf(problem, PLM_FOREIGN_TEXT, "written by %s, not by protlm", writer);
  else
    snprintf(problem, PLM_FOREIGN_TEXT, "it holds no file of a checkpoint of protlm");
  return true;
}

/* ---- listing ---- */

/* A directory in a run is also what its name says: one that was copied or renamed to another step
 * is not that step's. */
static plm_status check_named(const char *path, int64_t step, bool deep, plm_manifest *ret_manifest) {
  PLM_TRY(check_directory(path, deep, ret_manifest));
  if (ret_manifest->step == step) return PLM_OK;
  return plm_fail(PLM_E_CHECKPOINT, "%s holds step %lld, not %lld as its name says", path,
                  (long long)ret_manifest->step, (long long)step);
}

static plm_status describe(const char *run_directory, int64_t step, bool deep, plm_checkpoint_info *ret_info) {
  plm_manifest manifest = {.step = -1};
  *ret_info = (plm_checkpoint_info){.step = step, .state = PLM_CHECKPOINT_GOOD};
  PLM_TRY(plm_checkpoint_path(run_directory, step, &ret_info->path));
  ret_info->is_ours = plm_checkpoint_is_ours(ret_info->path);
  char foreign[PLM_FOREIGN_TEXT];
  if (plm_checkpoint_is_foreign(ret_info->path, foreign)) {
    ret_info->state = PLM_CHECKPOINT_FOREIGN;
    return plm_strdup(foreign, &ret_info->problem);
  }
  plm_status status = check_named(ret_info->path, step, deep, &manifest);
  ret_info->bytes = plm_manifest_bytes(&manifest);
  ret_info->written = manifest.written;
  if (status != PLM_E_CHECKPOINT) return status;
  ret_info->state = PLM_CHECKPOINT_DAMAGED;
  plm_error_record record;
  plm_error_take(status, &record);
  return plm_strdup(record.message, &ret_info->problem);
}

/* A directory called checkpoint-<step>, or a link that led to one, as one to a purged scratch does; files of such names
 * are nobody's checkpoint. */
static plm_status is_listed(const char *run_directory, const char *name, int64_t *ret_step, bool *ret_is) {
  char *path, target[8];
  *ret_is = false;
  if (!plm_checkpoint_parse_name(name, ret_step)) return PLM_OK;
  PLM_TRY(plm_path_join(run_directory, name, &path));
  *ret_is = plm_file_is_directory(path) || plm_link_is_dangling(path, target, sizeof target);
  plm_free(path);
  return PLM_OK;
}

static int newest_first(const void *a, const void *b) {
  int64_t x = ((const plm_checkpoint_info *)a)->step, y = ((const plm_checkpoint_info *)b)->step;
  return (x < y) - (x > y);
}

plm_status plm_checkpoint_list(const char *run_directory, bool deep, plm_checkpoint_info **ret_list,
                               size_t *ret_count) {
  char **names = NULL;
  size_t name_count = 0, count = 0;
  plm_checkpoint_info *list = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_directory_list(run_directory, &names, &name_count), done);
  PLM_TRY_GOTO(PLM_NEW(&list, name_count), done);
  for (size_t i = 0; i < name_count; i++) {
    int64_t step;
    bool listed;
    PLM_TRY_GOTO(is_listed(run_directory, names[i], &step, &listed), done);
    if (listed) PLM_TRY_GOTO(describe(run_directory, step, deep, &list[count++]), done);
  }
  qsort(list, count, sizeof *list, newest_first);
  *ret_list = list;
  *ret_count = count;
  list = NULL;
done:
  plm_checkpoint_list_free(list, count);
  plm_names_free(names, name_count);
  return status;
}

void plm_checkpoint_list_free(plm_checkpoint_info *list, size_t count) {
  if (list == NULL) return;
  for (size_t i = 0; i < count; i++) {
    plm_free(list[i].path);
    plm_free(list[i].problem);
  }
  plm_free(list);
}

/* ---- the newest that is good ---- */

static plm_status refuse_damaged(const char *run_directory, size_t count) {
  plm_status status = count == 1
                          ? plm_fail(PLM_E_CHECKPOINT, "%s: its one checkpoint is damaged", run_directory)
                          : plm_fail(PLM_E_CHECKPOINT, "%s: all %zu checkpoints are damaged", run_directory, count);
  return plm_hint(status, "start again in another --output-dir, or restore a checkpoint from a backup");
}

plm_status plm_checkpoint_find_newest(const char *run_directory, char **ret_path, int64_t *ret_step) {
  plm_checkpoint_info *list;
  size_t count, foreign = 0;
  *ret_path = NULL;
  PLM_TRY(plm_checkpoint_list(run_directory, false, &list, &count));
  plm_status status = PLM_OK;
  for (size_t i = 0; i < count && *ret_path == NULL && status == PLM_OK; i++) {
    if (list[i].state == PLM_CHECKPOINT_FOREIGN) {
      plm_warn("checkpoint-%lld is passed over: %s", (long long)list[i].step, list[i].problem);
      foreign++;
      continue;
    }
    status = list[i].state == PLM_CHECKPOINT_GOOD ? plm_checkpoint_verify(list[i].path) : PLM_E_CHECKPOINT;
    const char *problem = list[i].state == PLM_CHECKPOINT_GOOD ? plm_error_message() : list[i].problem;
    if (status == PLM_OK) {
      *ret_step = list[i].step;
      status = plm_strdup(list[i].path, ret_path);
    } else if (status == PLM_E_CHECKPOINT) {
      plm_warn("checkpoint-%lld is damaged and passed over: %s", (long long)list[i].step, problem);
      plm_error_clear();
      status = PLM_OK;
    }
  }
  plm_checkpoint_list_free(list, count);
  return status == PLM_OK && *ret_path == NULL && count > foreign ? refuse_damaged(run_directory, count - foreign)
                                                                  : status;
}

/* ---- removing ---- */

static bool is_kept(int64_t step, const int64_t *keep_steps, size_t keep_step_count) {
  for (size_t i = 0; i < keep_step_count; i++)
    if (keep_steps[i] == step) return true;
  return false;
}

plm_status plm_checkpoint_prune(const char *run_directory, int keep, const int64_t *keep_steps,
                                size_t keep_step_count) {
  plm_checkpoint_info *list;
  size_t count;
  if (keep < 1) return PLM_OK;
  PLM_TRY(plm_checkpoint_list(run_directory, false, &list, &count));
  plm_status status = PLM_OK;
  int good = 0;
  for (size_t i = 0; i < count && status == PLM_OK; i++)
    if (list[i].state == PLM_CHECKPOINT_GOOD && good++ >= keep && !is_kept(list[i].step, keep_steps, keep_step_count))
      status = plm_checkpoint_discard(run_directory, list[i].step);
  plm_checkpoint_list_free(list, count);
  return status;
}

static plm_status remove_leftover(const char *run_directory, const char *name) {
  char *path;
  PLM_TRY(plm_path_join(run_directory, name, &path));
  plm_info("removing %s, left by a run that was killed", path);
  plm_status status = plm_tree_remove(path);
  if (status != PLM_OK) {
    plm_warn("%s", plm_error_message());
    plm_error_clear();
  }
  plm_free(path);
  return PLM_OK;
}

static plm_status newest_good_step(const char *run_directory, int64_t *ret_step) {
  plm_checkpoint_info *list;
  size_t count;
  *ret_step = -1;
  PLM_TRY(plm_checkpoint_list(run_directory, false, &list, &count));
  for (size_t i = 0; i < count && *ret_step < 0; i++)
    if (list[i].state == PLM_CHECKPOINT_GOOD) *ret_step = list[i].step;
  plm_checkpoint_list_free(list, count);
  return PLM_OK;
}

static plm_status rename_back(const char *run_directory, const char *trash, int64_t step) {
  char *path;
  PLM_TRY(plm_checkpoint_path(run_directory, step, &path));
  plm_status status = PLM_OK;
  if (!plm_name_is_taken(path)) status = plm_file_rename(trash, path);
  if (status == PLM_OK) status = plm_directory_sync(run_directory);
  plm_free(path);
  return status;
}

/* A checkpoint that a save had moved out of its way when it was killed: newer than all others, as what was pruned is
 * not. */
static plm_status put_back(const char *run_directory, const char *name) {
  int64_t step, newest;
  char *trash;
  if (!plm_checkpoint_parse_trash(name, &step)) return PLM_OK;
  PLM_TRY(newest_good_step(run_directory, &newest));
  if (step <= newest) return PLM_OK;
  PLM_TRY(plm_path_join(run_directory, name, &trash));
  plm_status status = plm_checkpoint_verify(trash);
  if (status == PLM_OK) {
    status = rename_back(run_directory, trash, step);
  } else if (status == PLM_E_CHECKPOINT) {
    plm_error_clear();
    status = PLM_OK;
  }
  plm_free(trash);
  return status;
}

plm_status plm_checkpoint_reclaim(const char *run_directory) {
  char **names;
  size_t count;
  PLM_TRY(plm_directory_list(run_directory, &names, &count));
  plm_status status = PLM_OK;
  for (size_t i = 0; i < count && status == PLM_OK; i++) status = put_back(run_directory, names[i]);
  for (size_t i = 0; i < count && status == PLM_OK; i++)
    if (plm_checkpoint_is_leftover(names[i])) status = remove_leftover(run_directory, names[i]);
  plm_names_free(names, count);
  return status;
}
