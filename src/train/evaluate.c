/* evaluate.c - scores a view, sequence by sequence. Contents: working memory, one batch, the view. */
#include "train/evaluate.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

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
  double *frequency; /* [V] */
  double *copy;      /* [V targets, V seen] */
  plm_packed *packed;
  int64_t *ids; /* of the batch */
  size_t ids_room;
  plm_sequence_score *scores; /* one per sequence of the batch */
  size_t scores_room;
  float *row_nll;
  size_t nll_room;
  int32_t *row_prediction;
  size_t prediction_room;
  plm_totals totals;
} evaluator;

static void evaluator_free(evaluator *e) {
  plm_free(e->frequency);
  plm_free(e->copy);
  plm_packed_destroy(e->packed);
  plm_free(e->ids);
  plm_free(e->scores);
  plm_free(e->row_nll);
  plm_free(e->row_prediction);
}

static plm_status evaluator_prepare(evaluator *e) {
  const int64_t V = e->packer.alphabet->size;
  PLM_TRY(PLM_NEW(&e->frequency, V));
  PLM_TRY(PLM_NEW(&e->copy, V * V));
  PLM_TRY(plm_packed_create(&e->packed));
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
    double *sum = e->scores[s].sum;
    const double nll = (double)e->row_nll[i], frequency = -log(e->frequency[target]);
    const bool correct = e->row_prediction[i] == target;
    sum[PLM_SUM_COUNT]++;
    sum[PLM_SUM_CORRECT] += correct;
    sum[PLM_SUM_NLL] += nll;
    e->totals.sum[PLM_SUM_FREQUENCY] += frequency;
    e->totals.sum[PLM_SUM_COPY] += e->copy[target * V + seen];
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
    for (int64_t s = 0; s < count; s++)
      e->scores[s] = (plm_sequence_score){.id = e->ids[s], .residues = count_window(e, s)};
  if (M == 0) return PLM_OK;
  PLM_TRY(PLM_GROW(&e->row_nll, &e->nll_room, M));
  PLM_TRY(PLM_GROW(&e->row_prediction, &e->prediction_room, M));
  const plm_request request = {.row_nll = e->row_nll, .row_prediction = e->row_prediction};
  PLM_TRY(plm_model_infer(e->model, e->x, batch, &request));
  add_rows(e);
  return PLM_OK;
}

static plm_status score_batch(evaluator *e, int64_t count, plm_sequence_score_fn *each, void *user) {
  PLM_TRY(PLM_GROW(&e->scores, &e->scores_room, count));
  for (int64_t draw = 0; draw < e->options->draws; draw++) PLM_TRY(score_draw(e, count, (uint32_t)draw));
  for (int64_t s = 0; s < count; s++) {
    double *sum = e->scores[s].sum;
    sum[PLM_SUM_GAIN_MASKED] = sum[PLM_SUM_FREQUENCY_MASKED] - sum[PLM_SUM_NLL_MASKED];
    plm_totals_add(&e->totals, sum);
    if (each != NULL) PLM_TRY(each(user, &e->scores[s]));
  }
  return PLM_OK;
}

/* ---- the view ---- */

static plm_status score_view(evaluator *e, plm_sequence_score_fn *each, void *user) {
  const plm_evaluate_options *options = e->options;
  const int64_t rank = options->comm != NULL ? options->comm->rank : 0,
                ranks = options->comm != NULL ? options->comm->size : 1;
  int64_t count = 0, tokens = 0;
  for (int64_t i = rank; i < e->view->count; i += ranks) {
    int64_t id = plm_view_id(e->view, i);
    int64_t length = plm_token_length(e->view->dataset, e->packer.alphabet, id, e->packer.max_length);
    if (count > 0 && tokens + length > e->packer.micro_batch_tokens) {
      if (options->cancelled != NULL && options->cancelled(options->user)) return PLM_STOPPED;
      PLM_TRY(score_batch(e, count, each, user));
      count = tokens = 0;
    }
    PLM_TRY(PLM_GROW(&e->ids, &e->ids_room, count + 1));
    e->ids[count++] = id;
    tokens += length;
  }
  return count > 0 ? score_batch(e, count, each, user) : PLM_OK;
}

plm_status plm_evaluate(const plm_view *view, plm_model *model, plm_exec *x, const plm_evaluate_options *options,
                        plm_sequence_score_fn *each, void *user, plm_record *ret_record) {
  PLM_ASSERT(options->draws >= 1);
  evaluator e = {.view = view, .model = model, .x = x, .options = options, .packer = options->packer};
  e.packer.evaluation = e.packer.masked = true;
  plm_status status = evaluator_prepare(&e);
  if (status == PLM_OK) status = score_view(&e, each, user);
  evaluator_free(&e);
  if (options->comm != NULL) {
    status = plm_agree(options->comm, "evaluation", status);
  }
  if (status != PLM_OK) return status;
  if (e.totals.sum[PLM_SUM_COUNT] == 0)
    return plm_fail(PLM_E_INPUT, "%s: no residue of the evaluation sequences can be predicted",
                    plm_dataset_get_info(view->dataset)->source);
  plm_record_evaluation(&e.totals, ret_record);
  return PLM_OK;
}
