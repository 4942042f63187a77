/* metrics.h - what a run writes down for people and programs: log.jsonl, metrics.csv, TensorBoard events.
 *
 * Each step appears once, whatever was killed: at resume the files are rewritten without lines past the checkpoint, and
 * the removed ones go to log.replaced.jsonl. Field names and number form are a contract (docs/formats.md).
 */
#ifndef PLM_RUNLOG_METRICS_H
#define PLM_RUNLOG_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "protlm/status.h"

typedef struct plm_train_metrics {
  int64_t step;
  double epoch, loss, grad_norm, learning_rate;
  int64_t tokens, residues; /* since the start of the run */
  double seconds;           /* since the run's first step, resumes included */
  double residues_per_s,
      data_wait; /* over the interval since the last line; data_wait: share of it spent waiting for data, 0..1 */
} plm_train_metrics;

typedef struct plm_eval_metrics {
  int64_t step;
  double epoch;
  double eval_loss, eval_loss_se, eval_perplexity, eval_accuracy;
  int64_t eval_count;
  double eval_loss_masked, eval_loss_masked_se, eval_perplexity_masked, eval_accuracy_masked; /* <mask> rows only */
  int64_t eval_count_masked;
  /* What a model without context reaches: amino-acid frequencies of the training side; the same + copying visible
   * tokens. */
  double baseline_frequency, baseline_copy;               /* perplexity over all selected rows */
  double baseline_frequency_masked, baseline_copy_masked; /* over <mask> rows */
  double gain_masked, gain_masked_se; /* frequency loss - model loss on <mask> rows; paired, clustered by sequence */
  double eval_seconds;
} plm_eval_metrics;

typedef struct plm_metrics plm_metrics;

/* Open for appending in run_directory. from_step < 0: a new run, lines left by one that never came to a checkpoint are
 * moved away; otherwise those of steps > from_step. The new events file then starts with a SessionLog START at
 * from_step + 1. */
PLM_CHECKED plm_status plm_metrics_open(const char *run_directory, int64_t from_step, plm_metrics **ret_metrics);
PLM_CHECKED plm_status plm_metrics_train(plm_metrics *metrics, const plm_train_metrics *values);
PLM_CHECKED plm_status plm_metrics_eval(plm_metrics *metrics, const plm_eval_metrics *values);
/* Call before a checkpoint is saved: the lines it counts on are then on disk too, whatever happens to the power. */
PLM_CHECKED plm_status plm_metrics_sync(plm_metrics *metrics);
PLM_CHECKED plm_status plm_metrics_close(plm_metrics *metrics); /* frees in any case; accepts NULL */

/* The lines of log.jsonl of steps <= up_to_step as an array, for trainer_state.json. New reference. */
PLM_CHECKED plm_status plm_metrics_history(const char *run_directory, int64_t up_to_step, json_t **ret_array);

#endif
