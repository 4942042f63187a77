/* train.h - `protlm train` as a function. */
#ifndef PROTLM_TRAIN_H
#define PROTLM_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "protlm/options.h"

const plm_option_table *plm_train_option_table(void);

/* What happens, as it happens; for a progress bar. Any member may be NULL. Called on the thread that
 * called plm_train. */
typedef struct plm_progress {
  int64_t step, max_steps;
  double epoch, epochs;
  double loss; /* of the last logged interval; NAN before the first */
  double perplexity, learning_rate, grad_norm;
  double residues_per_s, gflops_per_s, data_wait;
  double real_share;                        /* residues / tokens */
  double eval_loss, eval_perplexity_masked; /* NAN when none yet */
  double seconds, eta;                      /* eta: to the end, seconds; NAN while unknown */
  double time_limit_left;                   /* NAN without one */
  int64_t memory_bytes;                     /* largest resident so far */
  bool logged;                              /* a log.jsonl line was written at this step */
} plm_progress;

typedef struct plm_train_observer {
  void *user;
  void (*step)(void *user, const plm_progress *progress);
  void (*phase)(void *user, const char *what); /* "reading train.fasta", "evaluating", "saving checkpoint-500" */
  plm_status (*ready)(void *user);             /* all ranks are about to take their first step here; collective */
  struct plm_comm *comm;                       /* the other ranks (dist/comm.h), the caller's; NULL: alone */
  const char *program;                         /* as in plm_output (commands.h) */
  const char *device; /* a backend that is registered (kernels/backend.h), by name; NULL: the best there is */
} plm_train_observer;

typedef enum plm_train_outcome {
  PLM_TRAIN_FINISHED,
  PLM_TRAIN_STOPPED,
  PLM_TRAIN_DRY_RUN,
  PLM_TRAIN_ALREADY_FINISHED
} plm_train_outcome;

/* For the closing block. */
typedef struct plm_train_result {
  plm_train_outcome outcome;
  char reason[160]; /* "reached --max-steps 500", "SIGTERM", "evaluation loss flat for 5 evaluations" */
  int64_t step, first_step, max_steps; /* first_step: where this start began */
  int64_t skipped_updates;
  double final_loss, final_eval_loss, final_eval_perplexity, final_eval_perplexity_masked; /* NAN when none */
  double baseline_frequency_masked, gain_masked, gain_masked_se;
  double best_eval_loss;
  int64_t best_step;
  int64_t residues, tokens; /* trained on, by this start */
  double seconds, residues_per_s, data_wait;
  char output_directory[4096], checkpoint[4096];
} plm_train_result;

/* Run or continue what the options say (protlm train --help). Returns PLM_OK when done (or already done, or a dry run),
 * PLM_STOPPED when stopped early with a good checkpoint. `values` come from plm_options_load(plm_train_option_table(),
 * ...). */
PLM_CHECKED plm_status plm_train(const plm_option_values *values, const plm_train_observer *observer,
                                 plm_train_result *ret_result);

#endif
