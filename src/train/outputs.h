/* outputs.h - what a run leaves in its directory: checkpoints and links, logs, final/, the report, descriptions.
 */
#ifndef PLM_TRAIN_OUTPUTS_H
#define PLM_TRAIN_OUTPUTS_H

#include "data/loader.h"
#include "runlog/metrics.h"
#include "train/context.h"
#include "train/optimiser.h"
#include "train/resume.h"

/* What is written about; borrowed while the outputs are open. */
typedef struct plm_output_parts {
  const plm_run_context *context;
  const plm_train_settings *settings;
  plm_train_state *state; /* forgets a best checkpoint that is found damaged */
  plm_model *model;       /* final/ may be the best instead of the last */
  plm_optimiser *optimiser;
  plm_exec *exec;
} plm_output_parts;

typedef struct plm_outputs {
  plm_run_directory directory;
  char checkpoint[4096]; /* the last good one; "" = none */
  plm_output_parts parts;
  plm_metrics *metrics; /* NULL but on rank 0 */
  bool overwrite; /* the state knows more than the checkpoint of its step: an evaluation that it owed has been done */
} plm_outputs;

/* All functions here that can fail, but plm_outputs_close, are collective: rank 0 alone looks, writes and removes, and
 * all learn how it went. */

/* The directory, and the checkpoint to go on from. `outputs` is all zero before; leave it whatever this returns. */
PLM_CHECKED plm_status plm_outputs_enter(plm_outputs *outputs, const plm_train_settings *settings, plm_comm *comm);
/* fruitless: stopped before the first step, so what this start wrote is removed. */
void plm_outputs_leave(plm_outputs *outputs, bool fruitless);

/* config.yaml, env.json, and the logs up to the state's step. */
PLM_CHECKED plm_status plm_outputs_open(plm_outputs *outputs, const plm_output_parts *parts, bool resumed);
PLM_CHECKED plm_status plm_outputs_close(plm_outputs *outputs); /* the logs; accepts what was never opened */

void plm_outputs_set_overwrite(plm_outputs *outputs, bool overwrite);
PLM_CHECKED plm_status plm_outputs_save(plm_outputs *outputs);        /* checkpoint of this step, links, pruning */
PLM_CHECKED plm_status plm_outputs_write_final(plm_outputs *outputs); /* final/, report.html */
/* *ret_has: whole, and of that step. */
PLM_CHECKED plm_status plm_outputs_has_final(const plm_outputs *outputs, plm_comm *comm, int64_t step, bool *ret_has);

/* ---- describe.c ---- */
PLM_CHECKED plm_status plm_outputs_describe(const plm_outputs *outputs); /* config.yaml, env.json */
/* The sequences of all ranks' parts of a batch that was not finite, in a file. *ret_path is allocated. */
PLM_CHECKED plm_status plm_outputs_describe_batch(const plm_outputs *outputs, const plm_dataset *dataset,
                                                  const plm_step_batch *batch, const plm_control *control,
                                                  char **ret_path);

#endif
