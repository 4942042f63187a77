/* run.h - a run of training in memory: everything between plm_train's first line and its last. For src/train, and
 * for `inspect batch`, which shows the stream that a run would read.
 *
 * Read in this order: run.c (from options to a result), loop.c (steps, evaluations, saves), step.c (one step).
 */
#ifndef PLM_TRAIN_RUN_H
#define PLM_TRAIN_RUN_H

#include "runlog/metrics.h"
#include "train/clock.h"
#include "train/context.h"
#include "train/evaluate.h"
#include "train/machine.h"
#include "train/optimiser.h"
#include "train/resolve.h"
#include "train/resume.h"
#include "train/state.h"
#include "train/stream.h"

typedef struct plm_run {
  plm_run_context context;
  const plm_train_settings *settings;
  plm_run_directory directory;
  plm_train_state state;
  char last_checkpoint[4096]; /* that is good; "" = none */
  bool resumed;

  plm_stream stream;

  plm_machine machine;
  plm_run_plan plan;
  plm_model *model;
  plm_optimiser *optimiser;
  plm_metrics *metrics;

  plm_run_clock clock;
  bool saves_anew; /* the state knows more than the checkpoint of its step: an evaluation that it owed has been done */
  uint64_t config_hash; /* of the resolved options: must be the same on every rank */
} plm_run;

/* ---- step.c ---- */
PLM_CHECKED plm_status plm_run_step(plm_run *run, const plm_step_batch *batch, double waited,
                                    plm_step_outcome *ret_outcome);

/* ---- loop.c ---- until the run is over (PLM_OK) or was asked to stop (PLM_STOPPED, saved) ---- */
PLM_CHECKED plm_status plm_run_loop(plm_run *run);
bool plm_run_is_over(const plm_run *run);
void plm_run_set_end_reason(plm_run *run);

/* ---- outputs.c ---- */
PLM_CHECKED plm_status plm_run_write_description(plm_run *run); /* config.yaml, env.json */
PLM_CHECKED plm_status plm_run_save(plm_run *run);              /* checkpoint of this step, links, pruning */
PLM_CHECKED plm_status plm_run_dump_batch(plm_run *run, const plm_step_batch *batch, const plm_step_outcome *outcome,
                                          char **ret_path);
PLM_CHECKED plm_status plm_run_write_final(plm_run *run); /* final/, report.html */
bool plm_run_has_final(const plm_run *run);

#endif
