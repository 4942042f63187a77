/* evaluate.c - scores a view, sequence by sequence. Contents: predictors without context, working memory, one batch, a
 * round, its scores on rank 0, the view.
 *
 * A round is a stretch of the view, divided over ranks and micro-batches by cost as a training batch is. After each all
 * ranks agree on how it went and on the size of the next, which rank 0 takes from its clock: that decides when somebody
 * is asked to stop, and nothing about the numbers. */
#include "train/evaluate.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "train/evaluate_totals.h"

/* ---- predictors without context, which every perplexity is to be read beside: letters, frequencies, copying ---- */

void plm_view_histogram(const plm_view *view, int64_t histogram[256]) {
  if (view->ids == NULL) {
    memcpy(histogram, plm_dataset_get_info(view->dataset)->histogram, 256 * sizeof *histogram);
    return;
  }
  memset(histogram, 0, 256 * sizeof *histogram);
  for (int64_t i = 0; i < view->count; i++) {
    int64_t length;
    const char *residues = plm_dataset_residues(view->dataset, plm_view_id(view, i), &length);
    for (int64_t j = 0; j < length; j++) histogram[(unsigned char)residues[j]]++;
  }
}

int64_t plm_count_predictable(const plm_packer_options *packer, const int64_t histogram[256]) {
  int32_t map[256];
  int64_t count = 0;
  plm_alphabet_map(packer->alphabet, &packer->policy, map);
  for (int letter = 0; letter < 256; letter++)
    if (map[letter] >= 0 && plm_mask_is_eligible(packer->alphabet, &packer->mask, map[letter]))
      count += histogram[letter];
  return count;
}

void plm_residue_frequencies(const plm_packer_options *packer, const int64_t histogram[256], double *ret_frequency) {
  const plm_alphabet *alphabet = packer->alphabet;
  int32_t map[256];
  plm_alphabet_map(alphabet, &packer->policy, map);
  for (int32_t id = 0; id < alphabet->size; id++)
    ret_frequency[id] = plm_mask_is_eligible(alphabet, &packer->mask, id) ? 1 : 0;
  for (int letter = 0; letter < 256; letter++)
    if (map[letter] >= 0 && ret_frequency[map[letter]] > 0) ret_frequency[map[letter]] += (double)histogram[letter];
  double total = 0;
  for (int32_t id = 0; id < alphabet->size; id++) total += ret_frequency[id];
  for (int32_t id = 0; id < alphabet->size; id++) ret_frequency[id] /= total;
}

/* q(seen | target): how a random replacement of `target` is drawn. */
static double replacement(const plm_packer_options *packer, int32_t target, int32_t seen) {
  const plm_alphabet *a = packer->alphabet;
  const double standard = a->standard_count;
  const bool seen_is_standard = plm_alphabet_rank(a, seen) >= 0;
  switch (packer->mask.random) {
    case PLM_RANDOM_AA_OTHER:
      if (!seen_is_standard || seen == target) return 0;
      return 1 / (plm_alphabet_rank(a, target) >= 0 ? standard - 1 : standard);
    case PLM_RANDOM_AA:
      return seen_is_standard ? 1 / standard : 0;
    case PLM_RANDOM_VOCAB:
      return 1.0 / a->size;
  }
  return 0;
}

void plm_copy_baseline(const plm_packer_options *packer, const double *frequency, double *ret_nll) {
  const int32_t V = packer->alphabet->size, mask = packer->alphabet->mask;
  const double random = packer->mask.random_share, kept = 1 - packer->mask.mask_share - random;
  for (int32_t seen = 0; seen < V; seen++) {
    double total = 0;
    for (int32_t target = 0; target < V; target++) {
      double likelihood = seen == mask ? 1 : random * replacement(packer, target, seen) + (seen == target ? kept : 0);
      ret_nll[target * V + seen] = frequency[target] * likelihood;
      total += ret_nll[target * V + seen];
    }
    for (int32_t target = 0; target < V; target++) {
      double p = total > 0 ? ret_nll[target * V + seen] / total : 0;
      ret_nll[target * V + seen] = p > 0 ? -log(p) : INFINITY;
    }
  }
}

/* ---- working memory ---- */

typedef struct evaluator {
  const plm_view *view;
  plm_model *model;
  plm_exec *x;
  const plm_evaluate_options *options;
  plm_packer_options packer;
  plm_comm *comm;
  bool gathers;      /* every score is wanted on rank 0 */
  double *frequency; /* [V] */
  double *copy;      /* [V targets, V seen] */

  /* the round: `count` sequences of the view from place `first` on */
  int64_t first, count, micro_batches;
  int64_t *lengths; /* [count] tokens */
  size_t lengths_room;
  int32_t *rank, *micro; /* [count] whose each is */
  size_t rank_room, micro_room;
  plm_sequence_score *scores; /* [count] */
  size_t scores_room;

  /* a batch of it */
  plm_packed *packed;
  int64_t *ids, *places; /* of its sequences: in the dataset, in the round */
  size_t ids_room, places_room;
  float *row_nll;
  size_t nll_room;
  int32_t *row_prediction;
  size_t prediction_room;

  plm_sequence_score *sent, *received; /* [per_exchange], [ranks, per_exchange] */
  int64_t *turns;                      /* [ranks] */
  int64_t per_exchange;
  plm_exact_totals totals; /* of this rank's sequences */
} evaluator;

static void evaluator_free(evaluator *e) {
  plm_free(e->frequency);
  plm_free(e->copy);
  plm_packed_destroy(e->packed);
  plm_free(e->lengths);
  plm_free(e->rank);
  plm_free(e->micro);
  plm_free(e->scores);
  plm_free(e->ids);
  plm_free(e->places);
  plm_free(e->row_nll);
  plm_free(e->row_prediction);
  plm_free(e->sent);
  plm_free(e->received);
  plm_free(e->turns);
}

/* What is received at a time grows with the ranks: it is kept at 4 MiB, and at what one exchange carries. */
static plm_status prepare_gathering(evaluator *e) {
  const int64_t ranks = e->comm->size, most = PLM_EXCHANGE_MAX / (int64_t)sizeof(plm_sequence_score),
                fit = ((int64_t)4 << 20) / ranks / (int64_t)sizeof(plm_sequence_score);
  e->per_exchange = fit < 1 ? 1 : fit < most ? fit : most;
  PLM_TRY(PLM_NEW(&e->sent, e->per_exchange));
  PLM_TRY(PLM_NEW(&e->received, ranks * e->per_exchange));
  return PLM_NEW(&e->turns, ranks);
}

static plm_status evaluator_prepare(evaluator *e) {
  const int64_t V = e->packer.alphabet->size;
  PLM_TRY(PLM_NEW(&e->frequency, V));
  PLM_TRY(PLM_NEW(&e->copy, V * V));
  PLM_TRY(plm_packed_create(&e->packed));
  if (e->gathers) PLM_TRY(prepare_gathering(e));
  if (e->options->frequency != NULL) {
    memcpy(e->frequency, e->options->frequency, (size_t)V * sizeof *e->frequency);
  } else {
    int64_t histogram[256];
    plm_view_histogram(e->view, histogram);
    plm_residue_frequencies(&e->packer, histogram, e->frequency);
  }
  plm_copy_baseline(&e->packer, e->frequency, e->copy);
  return PLM_OK;
}

/* ---- one batch ---- */

/* Add the rows of the packed batch, just evaluated, to their sequences' scores. */
static void add_rows(evaluator *e) {
  const plm_tokens *tokens = &e->packed->batch.encoder;
  const plm_objective *objective = &e->packed->batch.objectives[0];
  const int32_t V = e->packer.alphabet->size, mask = e->packer.alphabet->mask;
  int64_t s = 0;
  for (int64_t i = 0; i < objective->M; i++) {
    int32_t row = objective->rows[i], target = objective->targets[i], seen = tokens->tokens[row];
    while (row >= tokens->cu_seqlens[s + 1]) s++;
    double *sum = e->scores[e->places[s]].sum;
    const double nll = (double)e->row_nll[i], frequency = -log(e->frequency[target]);
    const bool correct = e->row_prediction[i] == target;
    sum[PLM_SUM_COUNT]++;
    sum[PLM_SUM_CORRECT] += correct;
    sum[PLM_SUM_NLL] += nll;
    sum[PLM_SUM_FREQUENCY] += frequency;
    sum[PLM_SUM_COPY] += e->copy[target * V + seen];
    if (seen != mask) continue;
    sum[PLM_SUM_COUNT_MASKED]++;
    sum[PLM_SUM_CORRECT_MASKED] += correct;
    sum[PLM_SUM_NLL_MASKED] += nll;
    sum[PLM_SUM_FREQUENCY_MASKED] += frequency;
  }
}

/* Residues of sequence `s` of the packed batch. */
static int64_t count_window(const evaluator *e, int64_t s) {
  const int32_t *ends = e->packed->batch.encoder.cu_seqlens;
  int64_t residues = 0;
  for (int32_t row = ends[s]; row < ends[s + 1]; row++)
    residues += !plm_alphabet_is_framing(e->packer.alphabet, e->packed->original[row]);
  return residues;
}

static plm_status score_draw(evaluator *e, int64_t count, uint32_t draw) {
  PLM_TRY(plm_pack(e->view->dataset, &e->packer, draw, e->ids, count, e->packed));
  const plm_batch *batch = &e->packed->batch;
  const int64_t M = batch->objective_count > 0 ? batch->objectives[0].M : 0;
  if (draw == 0)
    for (int64_t s = 0; s < count; s++) e->scores[e->places[s]].residues = count_window(e, s);
  if (M == 0) return PLM_OK;
  PLM_TRY(PLM_GROW(&e->row_nll, &e->nll_room, M));
  PLM_TRY(PLM_GROW(&e->row_prediction, &e->prediction_room, M));
  const plm_request request = {.row_nll = e->row_nll, .row_prediction = e->row_prediction};
  PLM_TRY(plm_model_infer(e->model, e->x, batch, &request));
  add_rows(e);
  return PLM_OK;
}

/* ids and places of this rank's micro-batch `micro` of the round; *ret_count may be 0. */
static plm_status choose_batch(evaluator *e, int64_t micro, int64_t *ret_count) {
  int64_t count = 0;
  for (int64_t i = 0; i < e->count; i++) {
    if (e->rank[i] != e->comm->rank || e->micro[i] != micro) continue;
    PLM_TRY(PLM_GROW(&e->ids, &e->ids_room, count + 1));
    PLM_TRY(PLM_GROW(&e->places, &e->places_room, count + 1));
    e->ids[count] = e->scores[i].id;
    e->places[count++] = i;
  }
  *ret_count = count;
  return PLM_OK;
}

/* ---- a round ---- */

/* From place `first` on, until it has this many tokens. */
static plm_status begin_round(evaluator *e, int64_t first, int64_t tokens) {
  int64_t count = 0;
  e->first = first;
  for (int64_t held = 0; first + count < e->view->count && held < tokens; held += e->lengths[count++]) {
    const int64_t id = plm_view_id(e->view, first + count);
    PLM_TRY(PLM_GROW(&e->lengths, &e->lengths_room, count + 1));
    PLM_TRY(PLM_GROW(&e->scores, &e->scores_room, count + 1));
    e->lengths[count] = plm_token_length(e->view->dataset, e->packer.alphabet, id, e->packer.max_length);
    e->scores[count] = (plm_sequence_score){.id = id};
  }
  e->count = count;
  PLM_TRY(PLM_GROW(&e->rank, &e->rank_room, count));
  PLM_TRY(PLM_GROW(&e->micro, &e->micro_room, count));
  return plm_shard(e->lengths, count, e->comm->size, e->packer.micro_batch_tokens, e->packer.quadratic_cost, e->rank,
                   e->micro, &e->micro_batches);
}

static bool is_cancelled(const evaluator *e) {
  return e->options->cancelled != NULL && e->options->cancelled(e->options->user);
}

static plm_status score_micro_batch(evaluator *e, int64_t micro) {
  int64_t count;
  PLM_TRY(choose_batch(e, micro, &count));
  if (count == 0) return PLM_OK;
  if (micro > 0 && is_cancelled(e)) return PLM_STOPPED;
  for (int64_t draw = 0; draw < e->options->draws; draw++) PLM_TRY(score_draw(e, count, (uint32_t)draw));
  for (int64_t s = 0; s < count; s++) {
    double *sum = e->scores[e->places[s]].sum;
    sum[PLM_SUM_GAIN_MASKED] = sum[PLM_SUM_FREQUENCY_MASKED] - sum[PLM_SUM_NLL_MASKED];
    plm_exact_totals_add(&e->totals, sum);
  }
  return PLM_OK;
}

static plm_status score_round(evaluator *e, int64_t first, int64_t tokens) {
  PLM_TRY(begin_round(e, first, tokens));
  for (int64_t micro = 0; micro < e->micro_batches; micro++) PLM_TRY(score_micro_batch(e, micro));
  return first + e->count < e->view->count && is_cancelled(e) ? PLM_STOPPED : PLM_OK;
}

/* ---- its scores on rank 0 ---- */

/* Each rank sends its scores in the order of the view, some at a time. Before the exchange of turns from .. from + n - 1:
 * mine are taken there; after it: those of others are put in their places. */
static void copy_turns(evaluator *e, int64_t from, int64_t n, bool received) {
  memset(e->turns, 0, (size_t)e->comm->size * sizeof *e->turns);
  for (int64_t i = 0; i < e->count; i++) {
    const int32_t rank = e->rank[i];
    const int64_t turn = e->turns[rank]++ - from;
    plm_sequence_score *score = &e->scores[i];
    if (turn < 0 || turn >= n || (rank == e->comm->rank) == received) continue;
    if (received)
      *score = e->received[rank * n + turn];
    else
      e->sent[turn] = *score;
  }
}

/* Of the rank that has most in this round. */
static int64_t count_turns(evaluator *e) {
  int64_t most = 0;
  memset(e->turns, 0, (size_t)e->comm->size * sizeof *e->turns);
  for (int64_t i = 0; i < e->count; i++)
    if (++e->turns[e->rank[i]] > most) most = e->turns[e->rank[i]];
  return most;
}

static plm_status gather_scores(evaluator *e) {
  const int64_t turns = count_turns(e);
  for (int64_t from = 0; from < turns; from += e->per_exchange) {
    const int64_t n = turns - from < e->per_exchange ? turns - from : e->per_exchange;
    copy_turns(e, from, n, false);
    PLM_TRY(e->comm->exchange(e->comm, "evaluation", e->sent, (size_t)n * sizeof *e->sent, e->received));
    copy_turns(e, from, n, true);
  }
  return PLM_OK;
}

static plm_status hand_over(evaluator *e, plm_sequence_score_fn *each, void *user) {
  if (e->comm->size > 1) PLM_TRY(gather_scores(e));
  plm_status status = PLM_OK;
  for (int64_t i = 0; i < e->count && e->comm->rank == 0 && status == PLM_OK; i++) status = each(user, &e->scores[i]);
  return plm_agree(e->comm, "evaluation", status);
}

/* ---- the view ---- */

/* As many tokens as rank 0 thinks last two seconds, by the round that it has just done. */
static plm_status size_next_round(evaluator *e, double seconds, int64_t *tokens) {
  enum { ROUND = 2 /* seconds */, MOST_GROWTH = 8 };
  const int64_t least = e->comm->size * e->packer.micro_batch_tokens;
  const double growth = fmin(ROUND / fmax(seconds, 1e-6), MOST_GROWTH);
  *tokens = (int64_t)fmax((double)*tokens * growth, (double)least);
  return plm_agree_on_first(e->comm, "evaluation", tokens, sizeof *tokens);
}

static plm_status score_view(evaluator *e, plm_sequence_score_fn *each, void *user) {
  int64_t tokens = e->comm->size * e->packer.micro_batch_tokens;
  plm_status status = evaluator_prepare(e);
  for (int64_t first = 0; first < e->view->count; first += e->count) {
    const double started = plm_clock_monotonic();
    e->comm->section(e->comm, "evaluation", 0);
    if (status == PLM_OK) status = score_round(e, first, tokens);
    PLM_TRY(plm_agree(e->comm, "evaluation", status));
    if (each != NULL) PLM_TRY(hand_over(e, each, user));
    PLM_TRY(size_next_round(e, plm_clock_monotonic() - started, &tokens));
  }
  PLM_TRY(plm_agree(e->comm, "evaluation", status)); /* of a view without sequences */
  return plm_exact_totals_agree(e->comm, "evaluation", &e->totals);
}

static plm_status evaluate_with(evaluator *e, plm_sequence_score_fn *each, void *user, plm_record *ret_record) {
  plm_totals totals;
  plm_status status = score_view(e, each, user);
  evaluator_free(e);
  PLM_TRY(status);
  plm_exact_totals_values(&e->totals, &totals);
  if (totals.sum[PLM_SUM_COUNT] == 0)
    return plm_fail(PLM_E_INPUT, "%s: no residue of the evaluation sequences can be predicted",
                    plm_dataset_get_info(e->view->dataset)->source);
  plm_record_evaluation(&totals, ret_record);
  return PLM_OK;
}

plm_status plm_evaluate(const plm_view *view, plm_model *model, plm_exec *x, const plm_evaluate_options *options,
                        plm_sequence_score_fn *each, void *user, plm_record *ret_record) {
  PLM_ASSERT(options->draws >= 1);
  evaluator e = {
      .view = view,
      .model = model,
      .x = x,
      .options = options,
      .packer = options->packer,
      .comm = options->comm,
      .gathers = each != NULL,
  };
  plm_comm *alone = NULL;
  e.packer.evaluation = e.packer.masked = true;
  if (e.comm == NULL) {
    PLM_TRY(plm_comm_self_create(&alone));
    e.comm = alone;
  }
  plm_status status = evaluate_with(&e, each, user, ret_record);
  plm_comm_destroy(alone);
  return status;
}
