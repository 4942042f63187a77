/* save.c - publishing checkpoint-<step>, so that its name is a promise. Read checkpoint.h and manifest.h
 * first.
 *
 *   1  tmp-<step>-<uuid>/            made; every file written, synced, closed and measured, its hash taken on the way
 *   2  MANIFEST.json in it, last     only what has it can be complete
 *   3  sync of that directory
 *   4  rename to checkpoint-<step>/  the one moment in which the checkpoint begins to exist
 *   5  sync of the run directory     now also after a power cut
 *
 * Only one process does this, the holder of the run's lock: renames by every rank of a shared file system have been
 * tried elsewhere and taken back twice (huggingface/transformers #27925, #36112). */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "checkpoint/internal.h"
#include "checkpoint/manifest.h"
#include "formats/safetensors.h"
#include "protlm/log.h"

/* ---- the files ---- */

/* What others write is small (configuration, tokenizer), so hashes are taken by reading it again. */
static plm_status write_foreign(const char *directory, const plm_checkpoint_part *part, plm_manifest *manifest) {
  char **names;
  size_t count;
  PLM_TRY(part->write(part->user, directory));
  PLM_TRY(plm_directory_list(directory, &names, &count));
  plm_status status = PLM_OK;
  for (size_t i = 0; i < count && status == PLM_OK; i++)
    status = plm_manifest_add_existing(manifest, directory, names[i]);
  plm_names_free(names, count);
  return status;
}

/* NaN or an infinity: the run is broken in a way its guard has not seen, and such a state must not
 * become a checkpoint. */
static plm_status fill_checked(void *user, const plm_tensor_info *tensor, void *buffer) {
  const float *values = buffer;
  PLM_TRY(plm_tensor_list_fill(user, tensor, buffer));
  int64_t count = strcmp(tensor->dtype, "F32") == 0 ? tensor->bytes / (int64_t)sizeof *values : 0;
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(values[i]))
      return plm_fail(PLM_E_NUMERIC, "%s is not finite at element %lld", tensor->name, (long long)i);
  return PLM_OK;
}

static plm_status write_tensors(const char *directory, const plm_checkpoint_part *part, char hash[33],
                                int64_t *ret_bytes) {
  plm_tensor_list checked = *part->tensors;
  char *path;
  checked.fill = fill_checked;
  checked.user = (void *)(uintptr_t)part->tensors;
  PLM_TRY(plm_path_join(directory, part->name, &path));
  plm_status status = plm_safetensors_write(path, &checked, hash, ret_bytes);
  plm_free(path);
  return status;
}

static plm_status write_part(const char *directory, const plm_checkpoint_part *part, plm_manifest *manifest) {
  char hash[33];
  int64_t bytes = 0;
  if (part->write != NULL) return write_foreign(directory, part, manifest);
  PLM_TRY(part->tensors != NULL ? write_tensors(directory, part, hash, &bytes)
                                : plm_json_create(directory, part->name, part->document, hash, &bytes));
  return plm_manifest_add(manifest, part->name, bytes, hash);
}

static plm_status write_files(const char *directory, int64_t step, const plm_checkpoint_content *content) {
  plm_manifest manifest = {.kind = "full", .step = step, .written = plm_clock_wall()};
  for (size_t i = 0; i < content->count; i++) PLM_TRY(write_part(directory, &content->parts[i], &manifest));
  PLM_TRY(plm_manifest_write(&manifest, directory));
  return plm_directory_sync(directory);
}

/* ---- publishing ---- */

int64_t plm_checkpoint_bytes(int64_t tensor_bytes) {
  const int64_t others = 1 << 20; /* headers, configuration, states */
  return tensor_bytes + others;
}

static int64_t content_bytes(const plm_checkpoint_content *content) {
  int64_t bytes = 0;
  for (size_t i = 0; i < content->count; i++)
    if (content->parts[i].tensors != NULL) bytes += plm_tensor_list_bytes(content->parts[i].tensors);
  return plm_checkpoint_bytes(bytes);
}

static plm_status refuse_other(const char *path, const char *writer) {
  return plm_hint(plm_fail(PLM_E_USAGE, "%s is in the way: it was written by %s, not by protlm, and is left as it is",
                           path, writer),
                  "move it out of the run's directory, and run the same command again");
}

/* *ret_complete: a good checkpoint of that step is there already. A damaged one stays until its
 * replacement is whole. */
static plm_status look_at_existing(const char *path, bool *ret_complete) {
  bool exists = false;
  *ret_complete = false;
  PLM_TRY(plm_file_find(path, &exists));
  if (!exists && !plm_name_is_taken(path)) return PLM_OK;
  const char *writer = plm_checkpoint_other_writer(path);
  if (writer != NULL) return refuse_other(path, writer);
  plm_status status = plm_checkpoint_verify(path);
  *ret_complete = status == PLM_OK;
  if (status != PLM_E_CHECKPOINT) return status;
  plm_warn("%s: replacing it", plm_error_message());
  plm_error_clear();
  return PLM_OK;
}

/* Quotas and reservations make the free space a guess, so it stops nothing; but its number explains a failure that
 * follows. */
static void warn_if_disk_is_short(const char *run_directory, int64_t needed, int64_t *ret_free) {
  char need[PLM_NUMBER_TEXT], have[PLM_NUMBER_TEXT];
  *ret_free = -1;
  if (plm_disk_free(run_directory, ret_free) != PLM_OK) {
    plm_error_clear();
  } else if (*ret_free < needed) {
    plm_warn("the next checkpoint needs %s and %s has %s free", plm_bytes_text(needed, need), run_directory,
             plm_bytes_text(*ret_free, have));
  }
}

/* What is in the way goes to the trash, from which it comes back when the replacement cannot take its name. */
static plm_status move_into_place(const char *staging, const char *path, const char *trash) {
  bool is_in_way = plm_name_is_taken(path);
  if (is_in_way) PLM_TRY(plm_file_rename(path, trash));
  plm_status status = plm_file_rename(staging, path);
  if (status != PLM_OK && is_in_way) {
    plm_error_record cause;
    plm_error_take(status, &cause);
    if (plm_file_rename(trash, path) != PLM_OK) plm_error_clear();
    status = plm_error_give(&cause);
  }
  return status;
}

static plm_status write_and_rename(const char *run_directory, int64_t step, const char *path, const char *trash,
                                   const plm_checkpoint_content *content) {
  char *staging;
  plm_status status;
  PLM_TRY(plm_checkpoint_staging_path(run_directory, "tmp", step, &staging));
  PLM_TRY_GOTO(plm_directory_create(staging), done);
  PLM_TRY_GOTO(write_files(staging, step, content), done);
  PLM_TRY_GOTO(move_into_place(staging, path, trash), done);
done:
  if (status != PLM_OK) {
    plm_error_record cause;
    plm_error_take(status, &cause);
    if (plm_tree_remove(staging) != PLM_OK) plm_error_clear(); /* reclaimed at the next start */
    status = plm_error_give(&cause);
  }
  plm_free(staging);
  return status;
}

static plm_status explain_failure(plm_status status, const char *path, int64_t needed, int64_t available) {
  char need[PLM_NUMBER_TEXT], have[PLM_NUMBER_TEXT];
  bool has_hint = plm_error_hint()[0] != '\0';
  plm_error_prefix(status, "%s was not saved (it needs %s; %s free): ", path, plm_bytes_text(needed, need),
                   available < 0 ? "unknown" : plm_bytes_text(available, have));
  if (!has_hint) plm_hint(status, "the checkpoints before it are as they were");
  return status;
}

/* `latest` is a convenience for people; programs look for the newest complete directory. So a file system without links
 * is no failure. */
static void update_latest(const char *run_directory, int64_t step) {
  if (plm_checkpoint_link(run_directory, "latest", step) == PLM_OK) return;
  plm_warn("%s", plm_error_message());
  plm_error_clear();
}

plm_status plm_checkpoint_save(const char *run_directory, int64_t step, const plm_checkpoint_content *content,
                               char **ret_path) {
  char *path = NULL, *trash = NULL;
  bool is_complete;
  int64_t needed = content_bytes(content), available = -1;
  plm_status status;
  PLM_TRY_GOTO(plm_checkpoint_path(run_directory, step, &path), done);
  PLM_TRY_GOTO(plm_checkpoint_staging_path(run_directory, ".trash", step, &trash), done);
  PLM_TRY_GOTO(look_at_existing(path, &is_complete), done);
  if (!is_complete || content->overwrite) {
    warn_if_disk_is_short(run_directory, needed, &available);
    status = write_and_rename(run_directory, step, path, trash, content);
    if (status != PLM_OK) {
      explain_failure(status, path, needed, available);
      goto done;
    }
  }
  status = plm_directory_sync(run_directory); /* one that is there may be so only because an earlier save failed here */
  if (status != PLM_OK) {
    plm_error_prefix(status, "%s is complete, but a power cut may undo it: ", path);
    goto done;
  }
  plm_checkpoint_remove_trash(trash);
  update_latest(run_directory, step);
  if (ret_path != NULL) {
    *ret_path = path;
    path = NULL;
  }
done:
  plm_free(trash);
  plm_free(path);
  return status;
}
