/* internal.h - names of files and directories that the chapters about checkpoints share. */
#ifndef PLM_CHECKPOINT_INTERNAL_H
#define PLM_CHECKPOINT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/checkpoint.h"

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

#endif
