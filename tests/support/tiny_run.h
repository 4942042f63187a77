/* tiny_run.h - the smallest model that has everything a checkpoint holds, and what must hold in its run directory after
 * any fault. */
#ifndef TESTS_SUPPORT_TINY_RUN_H
#define TESTS_SUPPORT_TINY_RUN_H

#include "support/unit.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "train/optimiser.h"
#include "support/faulty_fs.h"
#include "support/scratch.h"

typedef struct tiny_run {
  plm_device *device;
  plm_exec *exec;
  plm_model *model;
  plm_optimiser *optimiser;
  char directory[512];
  bool overwrite; /* saves replace a good checkpoint of their step */
} tiny_run;

/* An empty run directory of that name in the scratch directory, and a model of `hidden_size`, a multiple of 4. guarded:
 * on a device whose memory nobody above src/kernels may touch (much slower). */
void tiny_run_create(tiny_run *run, const char *name, int64_t hidden_size, bool guarded);
void tiny_run_destroy(tiny_run *run);

/* Weights, moments and states become those of `step`, or are checked to be: each step has its own. */
void tiny_run_set(tiny_run *run, int64_t step);
void tiny_run_assert_is(tiny_run *run, int64_t step);

/* The first element of `<param><suffix>` among the optimiser's states. */
void tiny_run_poison_state(tiny_run *run, const char *param, const char *suffix, float value);

plm_status tiny_run_save(tiny_run *run, int64_t step); /* checkpoint-<step>; sets the model to that step first */
void tiny_run_remove(tiny_run *run, int64_t step);     /* and all leftovers; faults must be off */
bool tiny_run_has(tiny_run *run, int64_t step);        /* listed, and good when every byte is read */

/* What a run does that is started again: find the newest good checkpoint, load it. *ret_path (allocated) stays NULL
 * when there is none. */
plm_status tiny_run_load_newest(tiny_run *run, char **ret_path, json_t **ret_state);

/* The promise: nothing listed is bad; the newest that is listed loads whole, and is `newest` or, if `or_next`, the step
 * after it. Returns the step that was found. `what` names the fault in messages. */
int64_t tiny_run_check(tiny_run *run, int64_t newest, bool or_next, const char *what);

#endif
