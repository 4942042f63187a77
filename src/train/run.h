/* run.h - a run of training in memory: everything between plm_train's first line and its last. Only run.c, loop.c and
 * step.c know it; each of its parts is a chapter with a header of its own, which knows the parts that it takes.
 *
 * Read in this order: run.c (from options to a result), loop.c (steps, evaluations, saves), step.c (one step).
 */
#ifndef PLM_TRAIN_RUN_H
#define PLM_TRAIN_RUN_H

#include "train/clock.h"
#include "train/context.h"
#include "train/evaluate.h"
#include "train/machine.h"
#include "train/outputs.h"
#include "train/stopped.h"
#include "train/stream.h"

typedef struct plm_run {
  plm_run_context context;
  const plm_train_settings *settings; /* owned; written by resolve.c alone */
  plm_stream stream;
  plm_machine machine;
  plm_run_plan plan;
  plm_model *model;
  plm_optimiser *optimiser;
  plm_train_state state;
  plm_run_clock clock;
  plm_outputs outputs;
  plm_stopped_watch watch;
  bool resumed;
} plm_run;

/* ---- step.c ---- */
PLM_CHECKED plm_status plm_run_step(plm_run *run, const plm_step_batch *batch, double waited,
                                    plm_step_outcome *ret_outcome);
/* This rank has no batch for the step, for the reason that `mine` and its message give: it takes part
 * so far that the others learn of it. Returns what all ranks do. */
PLM_CHECKED plm_status plm_run_step_without(plm_run *run, plm_status mine);
/* Collective, at the end: do all ranks still read the same parameters? PLM_E_BUG on all where not. */
PLM_CHECKED plm_status plm_run_compare_replicas(plm_run *run);

/* ---- loop.c ---- until the run is over (PLM_OK) or was asked to stop (PLM_STOPPED, saved) ---- */
PLM_CHECKED plm_status plm_run_loop(plm_run *run);
bool plm_run_is_over(const plm_run *run);
void plm_run_set_end_reason(plm_run *run);

#endif
