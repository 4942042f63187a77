/* trainer_state.h - trainer_state.json in the shape of transformers' TrainerState, so that scripts made for its runs
 * read ours. */
#ifndef PLM_RUNLOG_TRAINER_STATE_H
#define PLM_RUNLOG_TRAINER_STATE_H

#include <stdint.h>

#include "base/json.h"
#include "protlm/status.h"

typedef struct plm_trainer_state {
  int64_t step, max_steps;
  double epoch, num_train_epochs; /* the latter is written as a whole number, rounded up, as transformers has it */
  int64_t logging_steps, eval_steps, save_steps;
  double best_metric;                /* lowest eval_loss; not finite = none */
  const char *best_model_checkpoint; /* path; NULL = none */
  int64_t tokens;                    /* seen so far */
  double flops;                      /* done so far; 0 = not counted */
  int64_t batch_sequences;           /* train_batch_size; 0 when batches are counted in tokens */
} plm_trainer_state;

/* The document; `history` (plm_metrics_history) becomes its log_history. New reference; `history` keeps its own. */
PLM_CHECKED plm_status plm_trainer_state_build(const plm_trainer_state *values, json_t *history, json_t **ret_document);

/* Lines of the log that a checkpoint's trainer_state.json holds; 0 when it cannot be read. */
size_t plm_trainer_state_lines(const char *checkpoint);

#endif
