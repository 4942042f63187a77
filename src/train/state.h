/* state.h - protlm_state.json: everything about a run that the tensors don't hold and exact resume needs
 * (reliability.md 2.4).
 *
 * Written with every checkpoint. Numbers that must survive exactly are stored by their bits. Position in the data is
 * `step` alone: order, crops and masks are functions of it. A file that lacks a field is refused: a new field means a
 * new STATE_VERSION, and a rule for old files.
 */
#ifndef PLM_TRAIN_STATE_H
#define PLM_TRAIN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "dist/agree.h"
#include "runlog/measures.h"
#include "train/guard.h"
#include "train/resolve.h"

/* What decides the order of sums, so the bits: choices, which a resumed run makes again, and what it finds, which it
 * compares. */
typedef struct plm_arithmetic {
  int64_t ranks; /* a file that does not say is of one */
  int64_t threads, micro_batch_tokens;
  char level[16]; /* of the CPU kernels */
  char dtype[8];
  char threading[16]; /* "OpenMP", "pthreads" */
  char products[32];  /* "oneDNN 2.6.3", "own" */
  char cpu[128];      /* the library chooses its code by more than the level */
  char program[32];   /* version of protlm */
} plm_arithmetic;

/* Sums since the last line of the log. */
typedef struct plm_log_window {
  double nll;
  int64_t count;                   /* predicted rows behind nll */
  double grad_norm, learning_rate; /* of the last step */
  int64_t residues;
  double seconds, waited;
} plm_log_window;

typedef struct plm_train_state {
  char run_id[33];
  int64_t step, updates;                                   /* global batches consumed; updates applied */
  int64_t tokens, residues;                                /* since the start of the run */
  double seconds;                                          /* since the run's first step began */
  int64_t steps_per_epoch, global_batch_sequences, warmup; /* warmup: W of the schedule */
  plm_log_window window;
  plm_guard guard;
  double last_loss; /* of the last log line */

  bool evaluation_due;    /* at this step, not done yet */
  double first_eval_loss; /* before the first step; NAN = none */
  plm_record last_eval;   /* what it came to; of an earlier start: the measures that protlm_state.json has */
  double best_eval_loss;  /* of the checkpoints saved */
  int64_t best_step;      /* -1 = none */
  double plateau_loss;    /* lowest evaluation loss that counted for patience; NAN = none */
  int64_t plateau_count;
  bool forgetting_said;

  char train_hash[33], eval_hash[33]; /* content of the data, whatever its path; "" = none */
  int64_t train_rules, eval_rules;    /* PLM_READING_RULES by which it was read; 0: before there was a number */
  plm_arithmetic arithmetic;
  json_t *options; /* resolved value of every option, by name; owned */
} plm_train_state;

/* What one step came to. */
typedef struct plm_step_outcome {
  plm_control control; /* agreed by all ranks */
  double loss;         /* mean over the rows of the global batch */
  double grad_norm;    /* of the mean loss's gradient, before clipping */
  double learning_rate, z;
  plm_guard_verdict verdict;
} plm_step_outcome;

/* A run that has not begun. `options` stays NULL. */
void plm_train_state_init(plm_train_state *state);
void plm_train_state_free(plm_train_state *state);

/* ---- how it changes: by these functions alone, and the guard by plm_guard_judge ---- */
void plm_train_state_begin(plm_train_state *state); /* a new run, by a name of its own */
/* Rank 0's name, on all. Collective. */
PLM_CHECKED plm_status plm_train_state_share_name(plm_train_state *state, plm_comm *comm);

/* The data of a start: what identifies its content ("" = none), and by which rules it was read. */
typedef struct plm_data_identity {
  const char *train_hash, *eval_hash;
  int64_t train_rules, eval_rules;
} plm_data_identity;

/* What this start was asked and found. `options` (resolved, by name) is taken over. */
void plm_train_state_settle(plm_train_state *state, const plm_train_settings *settings,
                            const plm_arithmetic *arithmetic, json_t *options, const plm_data_identity *data);

void plm_train_state_count_step(plm_train_state *state, const plm_step_outcome *outcome);
void plm_train_state_set_clocks(plm_train_state *state, double seconds, double window_seconds);
void plm_train_state_close_window(plm_train_state *state); /* after its line was made; leaves last_loss */

void plm_train_state_set_evaluation_due(plm_train_state *state, bool due);
/* Results, patience and the loss before training; the evaluation is no longer due. True, once, when the loss has come
 * to stand above its value before training: the model may be forgetting. */
bool plm_train_state_add_evaluation(plm_train_state *state, const plm_train_settings *settings,
                                    const plm_record *metrics);
void plm_train_state_set_best(plm_train_state *state, int64_t step, double eval_loss); /* -1, NAN: none */

/* ---- the file ---- */
/* New reference to the document. */
PLM_CHECKED plm_status plm_train_state_write(const plm_train_state *state, json_t **ret_document);

/* `what` names the file in messages; PLM_E_CHECKPOINT. A stream_version this program doesn't know is refused. */
PLM_CHECKED plm_status plm_train_state_read(const json_t *document, const char *what, plm_train_state *ret_state);

#endif
