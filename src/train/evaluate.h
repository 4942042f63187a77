/* evaluate.h - how good a model is on a set of sequences, and how good something that knows no proteins would be.
 *
 * Masks are fixed: keyed by evaluation seed, residues and position, so every run and every model is asked the same
 * questions. A sequence's score does not depend on its batch mates, bit for bit.
 *
 * Over all selected rows, and over the rows that show <mask> (design 10.5): loss (nats), perplexity, accuracy. Beside
 * them what a model without context reaches:
 *   frequency   predicts the residue frequencies of the training side everywhere
 *   copy        the same, but at a selected row that shows a residue it may conclude from what it sees (kept with
 *               probability k, put there at random with probability r):  p(u | v) ~ f(u) (k [u = v] + r q(v | u)), q by
 *               --random-tokens
 * Standard errors treat a sequence as one observation (its rows are not independent): se^2 = S/(S-1) sum_s (x_s - mean
 * n_s)^2 / n^2 for sums x_s over n_s rows of sequence s. Which values there are, and how each is made of the sums: the
 * table of measures.
 */
#ifndef PLM_TRAIN_EVALUATE_H
#define PLM_TRAIN_EVALUATE_H

#include "data/packer.h"
#include "dist/agree.h"
#include "model/model.h"
#include "runlog/measures.h"

typedef struct plm_evaluate_options {
  /* masks, lengths, micro_batch_tokens; `seed` is the evaluation seed; evaluation and masked are set here */
  plm_packer_options packer;
  int64_t draws;           /* sets of masks per sequence, >= 1 */
  const double *frequency; /* [V] of the training side; NULL: of the set that is evaluated */
  plm_comm *comm;          /* NULL: alone */
  /* asked between batches; true, on any rank, ends the evaluation with PLM_STOPPED on all, after the round (about 2 s) */
  bool (*cancelled)(void *user);
  void *user;
} plm_evaluate_options;

/* One sequence, over all draws. */
typedef struct plm_sequence_score {
  int64_t id;       /* in the dataset */
  int64_t residues; /* in the window that was scored, without special tokens */
  double sum[PLM_SUMS];
} plm_sequence_score;
typedef plm_status plm_sequence_score_fn(void *user, const plm_sequence_score *score);

/* Collective: the same view, weights and options on every rank, which share the work; the record is the same bytes on
 * all, for any number of ranks, threads and micro-batches. `each` (on all ranks or none) gets every sequence in the
 * order of the view, on rank 0. step, epoch and eval_seconds of the record are the caller's to fill in. PLM_E_INPUT when
 * there is nothing to predict. */
PLM_CHECKED plm_status plm_evaluate(const plm_view *view, plm_model *model, plm_exec *x,
                                    const plm_evaluate_options *options, plm_sequence_score_fn *each, void *user,
                                    plm_record *ret_record);

/* Letters of the sequences of a view. */
void plm_view_histogram(const plm_view *view, int64_t histogram[256]);

/* How many of these letters may be selected for prediction. */
int64_t plm_count_predictable(const plm_packer_options *packer, const int64_t histogram[256]);

/* Share of each token among those that may be predicted, from a histogram of letters; one is added to each count, so
 * none is 0. [V] */
void plm_residue_frequencies(const plm_packer_options *packer, const int64_t histogram[256], double *ret_frequency);

/* Loss of the copy baseline: -log p(target | seen), [V targets, V seen]; INFINITY where the target
 * cannot be predicted. */
void plm_copy_baseline(const plm_packer_options *packer, const double *frequency, double *ret_nll);

#endif
