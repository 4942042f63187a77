/* metrics.h - what a run writes down for people and programs: log.jsonl, metrics.csv, TensorBoard events,
 * trainer_state.json.
 *
 * Each step appears once, whatever was killed: at resume the files are rewritten without lines past the checkpoint, and
 * the removed ones go to log.replaced.jsonl. The fields: measures.h.
 */
#ifndef PLM_RUNLOG_METRICS_H
#define PLM_RUNLOG_METRICS_H

#include "runlog/measures.h"

typedef struct plm_metrics plm_metrics;

/* Open for appending in run_directory. from_step < 0: a new run, lines left by one that never came to a checkpoint are
 * moved away; otherwise those of steps > from_step. The new events file then starts with a SessionLog START at
 * from_step + 1. */
PLM_CHECKED plm_status plm_metrics_open(const char *run_directory, int64_t from_step, plm_metrics **ret_metrics);
PLM_CHECKED plm_status plm_metrics_write(plm_metrics *metrics, const plm_record *record); /* one line */
/* Call before a checkpoint is saved: the lines it counts on are then on disk too, whatever happens to the power. */
PLM_CHECKED plm_status plm_metrics_sync(plm_metrics *metrics);
PLM_CHECKED plm_status
plm_metrics_close(plm_metrics **metrics); /* frees in any case; accepts a NULL in it, and leaves one */

/* The lines of log.jsonl of steps <= up_to_step as an array, for trainer_state.json. New reference. */
PLM_CHECKED plm_status plm_metrics_history(const char *run_directory, int64_t up_to_step, json_t **ret_array);

/* ---- trainer_state.json, in the shape of transformers' TrainerState: scripts made for its runs read ours ---- */

typedef struct plm_trainer_state {
  int64_t step, max_steps;
  double epoch, num_train_epochs; /* the latter is written as a whole number, rounded up, as transformers has it */
  int64_t logging_steps, eval_steps, save_steps;
  double best_metric;                /* lowest eval_loss; not finite = none */
  const char *best_model_checkpoint; /* path from the working directory; NULL = none */
  int64_t tokens;                    /* seen so far */
  double flops;                      /* done so far; 0 = not counted */
  int64_t batch_sequences;           /* train_batch_size; 0 when batches are counted in tokens */
} plm_trainer_state;

/* The document; `history` (plm_metrics_history) becomes its log_history. New reference; `history` keeps its own. */
PLM_CHECKED plm_status plm_trainer_state_build(const plm_trainer_state *values, json_t *history, json_t **ret_document);

/* Lines of the log that a checkpoint's trainer_state.json holds; 0 when it cannot be read. */
size_t plm_trainer_state_lines(const char *checkpoint);

#endif
