/* checkpoint.h - `checkpoint-<step>/` in a run directory: a name is a promise.
 *
 * A directory of that name exists only if it is complete and was verified (reliability.md 2.1): everything is written
 * into tmp-<step>-<uuid>/, every write, fsync and close checked, sizes read again; MANIFEST.json goes last; then
 * rename, sync of the parent. Whatever the moment of a kill or a power cut, the last good checkpoint is found and a bad
 * one never is.
 *
 *   config.json, tokenizer files      opens with transformers' AutoModelForMaskedLM / AutoTokenizer
 *   model.safetensors                 master weights, F32
 *   optimizer.safetensors             <HF name>.<state> of each state of the optimiser, F32, trainable parameters only
 *   trainer_state.json                HF-shaped, with the log history
 *   protlm_state.json                 everything exact resume needs (train/state.h)
 *   MANIFEST.json                     size and xxh3-128 of every file; last, the hash of what precedes it
 *
 * The manifest is this room's; all else comes as parts from whoever trains, and what is in them is not known here.
 */
#ifndef PLM_CHECKPOINT_CHECKPOINT_H
#define PLM_CHECKPOINT_CHECKPOINT_H

#include <stdbool.h>

#include "base/json.h"
#include "formats/tensor_list.h"

#define PLM_CHECKPOINT_WEIGHTS "model.safetensors"
#define PLM_CHECKPOINT_OPTIMIZER "optimizer.safetensors"
#define PLM_CHECKPOINT_TRAINER_STATE "trainer_state.json"
#define PLM_CHECKPOINT_STATE "protlm_state.json"

/* A file of a checkpoint, or several: tensors, a document, or what `write` puts into the directory. */
typedef struct plm_checkpoint_part {
  const char *name; /* of the file */
  const plm_tensor_list *tensors;
  const json_t *document;
  plm_status (*write)(void *user, const char *directory); /* without a name; first, as all that is there then is its */
  plm_status (*read)(void *user, const char *directory);  /* optional */
  void *user;
} plm_checkpoint_part;

enum { PLM_CHECKPOINT_MAX_PARTS = 8 };
typedef struct plm_checkpoint_content {
  plm_checkpoint_part parts[PLM_CHECKPOINT_MAX_PARTS]; /* in the order in which they are written */
  size_t count;
  bool overwrite; /* one of this step that is there, and good, knows less: replace it */
} plm_checkpoint_content;

/* Publish checkpoint-<step> in run_directory (whose lock the caller holds) and point the link `latest` at it. An
 * existing complete one of that step is left, its name synced, and is success, unless `overwrite`; such a one, or a
 * damaged one, is replaced when the new one is whole, and not before. Less free disk than needed is a warning only. On
 * failure (PLM_E_RESOURCE with bytes needed and free; PLM_E_NUMERIC when an F32 tensor is not finite) nothing of that
 * name appears, older checkpoints are as they were and the temporary directory is removed if it can be. One failure is
 * different, and its message says so: when only the last sync of run_directory fails, the checkpoint is complete and
 * visible, but a power cut may undo it. *ret_path (optional) is allocated. */
PLM_CHECKED plm_status plm_checkpoint_save(const char *run_directory, int64_t step,
                                           const plm_checkpoint_content *content, char **ret_path);

/* Bytes a checkpoint takes whose tensors take so many; for messages about disks. */
int64_t plm_checkpoint_bytes(int64_t tensor_bytes);

typedef enum plm_checkpoint_state {
  PLM_CHECKPOINT_GOOD,
  PLM_CHECKPOINT_DAMAGED,
  PLM_CHECKPOINT_FOREIGN /* another program's of that name: never judged, replaced or removed */
} plm_checkpoint_state;
typedef struct plm_checkpoint_info {
  int64_t step;
  char *path;
  plm_checkpoint_state state;
  char *problem; /* what is wrong with it, by file, or whose it is; NULL when good */
  bool is_ours;  /* has a file that only protlm writes; a damaged directory without one may be anybody's */
  int64_t bytes;
  double written; /* unix time */
} plm_checkpoint_info;

/* Does a directory have a file that only our checkpoints have? */
bool plm_checkpoint_is_ours(const char *path);

/* Who else has written a directory called checkpoint-<step> ("transformers' Trainer"); NULL: nobody who is known. */
const char *plm_checkpoint_other_writer(const char *path);

/* Is what is called checkpoint-<step> none of protlm's: without any file of ours, or a link that leads nowhere? Then
 * `problem` says what it is. */
enum { PLM_FOREIGN_TEXT = 1024 };
bool plm_checkpoint_is_foreign(const char *path, char problem[PLM_FOREIGN_TEXT]);

/* All checkpoint-* of a run, newest step first. deep: checksums too, else sizes and manifest only. */
PLM_CHECKED plm_status plm_checkpoint_list(const char *run_directory, bool deep, plm_checkpoint_info **ret_list,
                                           size_t *ret_count);
void plm_checkpoint_list_free(plm_checkpoint_info *list, size_t count);

/* Verify one directory: sizes and checksums of every file, no file missing or added. A bad one is PLM_E_CHECKPOINT
 * naming the file. */
PLM_CHECKED plm_status plm_checkpoint_verify(const char *path);

/* The newest checkpoint of a run whose every byte is as it was written; damaged ones are passed over with a
 * warning that names them. None at all: PLM_OK and *ret_path NULL. None that is good: PLM_E_CHECKPOINT.
 * *ret_path is allocated. */
PLM_CHECKED plm_status plm_checkpoint_find_newest(const char *run_directory, char **ret_path, int64_t *ret_step);

/* Load the parts that can be read (tensors with `take`, and those with `read`), in their order, of a checkpoint that
 * plm_checkpoint_find_newest or plm_checkpoint_verify has found whole: here only names and sizes are looked at again,
 * since a large one takes minutes to read. *ret_state is a new reference to protlm_state.json. PLM_E_CHECKPOINT names
 * the file that is damaged, the tensor that is missing, too many or of another shape, or what the parts' readers found;
 * what they fill is then undefined. */
PLM_CHECKED plm_status plm_checkpoint_load(const char *path, const plm_checkpoint_part *parts, size_t count,
                                           json_t **ret_state);
PLM_CHECKED plm_status plm_checkpoint_read_state(const char *path, json_t **ret_state);

/* Point the link `name` of a run ("latest", "best") at checkpoint-<step>, relative, so that the run directory can be
 * moved. */
PLM_CHECKED plm_status plm_checkpoint_link(const char *run_directory, const char *name, int64_t step);

/* Remove old ones: keep the newest `keep` (< 1: all) and any step in keep_steps. Damaged ones neither count nor go:
 * what is left in them may matter to someone. Rename to .trash-<step>-<uuid>, sync the parent, unlink. */
PLM_CHECKED plm_status plm_checkpoint_prune(const char *run_directory, int keep, const int64_t *keep_steps,
                                            size_t keep_step_count);

/* Remove what killed processes left: tmp-<step>-<uuid>/, .trash-<step>-<uuid>/ and the file layer's
 * tmp-<name>-<pid>-<n>. Only the holder of the run's lock may. What cannot be removed is a warning. */
PLM_CHECKED plm_status plm_checkpoint_reclaim(const char *run_directory);

/* <run>/<prefix>-<step>-<new uuid>, allocated. `prefix` "tmp" or ".trash": what is left of either is reclaimed. */
PLM_CHECKED plm_status plm_checkpoint_staging_path(const char *run_directory, const char *prefix, int64_t step,
                                                   char **ret_path);

/* What the layers below report as bad input (PLM_E_INPUT) is in a checkpoint PLM_E_CHECKPOINT; every other status stays
 * what it is. */
plm_status plm_as_checkpoint_failure(plm_status status);

/* A random 32-digit hex id. */
void plm_uuid(char uuid[33]);

#endif
