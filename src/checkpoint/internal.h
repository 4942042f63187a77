/* internal.h - names of files and directories that the chapters about checkpoints share. */
#ifndef PLM_CHECKPOINT_INTERNAL_H
#define PLM_CHECKPOINT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/checkpoint.h"

#define PLM_CHECKPOINT_WEIGHTS "model.safetensors"
#define PLM_CHECKPOINT_OPTIMIZER "optimizer.safetensors"
#define PLM_CHECKPOINT_TRAINER_STATE "trainer_state.json"
#define PLM_CHECKPOINT_STATE "protlm_state.json"
#define PLM_CHECKPOINT_CONFIG "config.json"

/* "checkpoint-<step>", digits only, no leading zero. */
bool plm_checkpoint_parse_name(const char *name, int64_t *ret_step);

/* "tmp-<step>-<uuid>", ".trash-<step>-<uuid>" and the file layer's "tmp-<name>-<pid>-<n>": ours to remove; anything
 * else is not. */
bool plm_checkpoint_is_leftover(const char *name);

/* ".trash-<step>-<uuid>" */
bool plm_checkpoint_parse_trash(const char *name, int64_t *ret_step);

/* <run>/checkpoint-<step>. Allocated. */
PLM_CHECKED plm_status plm_checkpoint_path(const char *run_directory, int64_t step, char **ret_path);

/* Take a directory out of sight for good: rename to .trash-<step>-<uuid>, sync the parent. Its removal may then fail
 * harmlessly. */
PLM_CHECKED plm_status plm_checkpoint_discard(const char *run_directory, int64_t step);

/* Remove what was renamed to .trash-<step>-<uuid>, if anything was. A failure is a warning: it is reclaimed at the next
 * start. */
void plm_checkpoint_remove_trash(const char *trash);

/* PLM_E_NUMERIC when a tensor about to be saved holds NaN or an infinity: the run is broken in a way its guard has not
 * seen, and such a state must not become a checkpoint. */
PLM_CHECKED plm_status plm_checkpoint_check_finite(const char *tensor, const float *values, int64_t count);

/* The optimiser's moments as a safetensors file, and back (optimizer.c). */
PLM_CHECKED plm_status plm_optimizer_write(const char *path, const plm_params *params, plm_exec *exec,
                                           plm_moments moments, char *ret_hash, int64_t *ret_bytes);
PLM_CHECKED plm_status plm_optimizer_read(const char *path, const plm_params *params, plm_exec *exec,
                                          plm_moments moments);

#endif
