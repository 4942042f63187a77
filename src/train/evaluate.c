/* evaluate.c - scores a view, sequence by sequence. Contents: sums with clustered errors, one batch, the view. */
#include "train/evaluate.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* ---- a mean over rows, and its standard error with sequences as clusters ---- */

typedef struct ratio {
  double clusters, n, x, xx, xn, nn;
} ratio;

static void ratio_add(ratio *r, double x, int64_t rows) {
  double n = (double)rows;
  if (rows == 0) return;
  r->clusters++;
  r->n += n;
  r->x += x;
  r->xx += x * x;
  r->xn += x * n;
  r->nn += n * n;
}

static double ratio_mean(const ratio *r) { return r->n > 0 ? r->x / r->n : NAN; }

static double ratio_error(const ratio *r) {
  if (r->clusters < 2) return NAN;
  double mean = ratio_mean(r);
  double square = r->xx - 2 * mean * r->xn + mean * mean * r->nn;
  if (isnan(square)) return NAN;
  return sqrt(fmax(square, 0) * r->clusters / (r->clusters - 1)) / r->n;
}

/* Everything that is added up over sequences and ranks: doubles only, so one all-reduce does it. */
typedef struct tally {
  ratio loss, masked, gain;
  double correct, correct_masked;
  double frequency, copy, frequency_masked; /* baselines' NLL */
} tally;

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
  tally total;
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
    plm_sequence_score *score = &e->scores[s];
    const double nll = (double)e->row_nll[i], frequency = -log(e->frequency[target]);
    const bool correct = e->row_prediction[i] == target;
    score->count++;
    score->correct += correct;
    score->nll += nll;
    e->total.frequency += frequency;
    e->total.copy += e->copy[target * V + seen];
    if (seen != mask) continue;
    score->count_masked++;
    score->correct_masked += correct;
    score->nll_masked += nll;
    score->frequency_nll_masked += frequency;
  }
}

static plm_status score_draw(evaluator *e, int64_t count, uint32_t draw) {
  PLM_TRY(plm_pack(e->view->dataset, &e->packer, draw, e->ids, count, e->packed));
  const plm_batch *batch = &e->packed->batch;
  const int64_t M = batch->objective_count > 0 ? batch->objectives[0].M : 0;
  if (draw == 0)
    for (int64_t s = 0; s < count; s++) {
      int64_t kept = batch->encoder.cu_seqlens[s + 1] - batch->encoder.cu_seqlens[s];
      int64_t length = plm_dataset_length(e->view->dataset, e->ids[s]);
      e->scores[s] = (plm_sequence_score){.id = e->ids[s], .residues = kept < length ? kept : length};
    }
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
    const plm_sequence_score *score = &e->scores[s];
    ratio_add(&e->total.loss, score->nll, score->count);
    ratio_add(&e->total.masked, score->nll_masked, score->count_masked);
    ratio_add(&e->total.gain, score->frequency_nll_masked - score->nll_masked, score->count_masked);
    e->total.correct += (double)score->correct;
    e->total.correct_masked += (double)score->correct_masked;
    e->total.frequency_masked += score->frequency_nll_masked;
    if (each != NULL) PLM_TRY(each(user, score));
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

static void fill_metrics(const tally *t, plm_eval_metrics *m) {
  const double n = t->loss.n, masked = t->masked.n;
  memset(m, 0, sizeof *m);
  m->eval_loss = ratio_mean(&t->loss);
  m->eval_loss_se = ratio_error(&t->loss);
  m->eval_perplexity = exp(m->eval_loss);
  m->eval_accuracy = t->correct / n;
  m->eval_count = (int64_t)n;
  m->eval_loss_masked = ratio_mean(&t->masked);
  m->eval_loss_masked_se = ratio_error(&t->masked);
  m->eval_perplexity_masked = exp(m->eval_loss_masked);
  m->eval_accuracy_masked = masked > 0 ? t->correct_masked / masked : NAN;
  m->eval_count_masked = (int64_t)masked;
  m->baseline_frequency = exp(t->frequency / n);
  m->baseline_copy = exp(t->copy / n);
  m->baseline_frequency_masked = masked > 0 ? exp(t->frequency_masked / masked) : NAN;
  m->baseline_copy_masked = m->baseline_frequency_masked; /* <mask> shows nothing to copy */
  m->gain_masked = ratio_mean(&t->gain);
  m->gain_masked_se = ratio_error(&t->gain);
}

plm_status plm_evaluate(const plm_view *view, plm_model *model, plm_exec *x, const plm_evaluate_options *options,
                        plm_sequence_score_fn *each, void *user, plm_eval_metrics *ret_metrics) {
  PLM_ASSERT(options->draws >= 1);
  evaluator e = {.view = view, .model = model, .x = x, .options = options, .packer = options->packer};
  e.packer.evaluation = e.packer.masked = true;
  plm_status status = evaluator_prepare(&e);
  if (status == PLM_OK) status = score_view(&e, each, user);
  evaluator_free(&e);
  if (options->comm != NULL) {
    plm_status worst = status;
    PLM_TRY(options->comm->agree(options->comm, status, &worst));
    if (status == PLM_OK && worst != PLM_OK) return plm_fail(worst, "the evaluation failed on another rank");
    if (status == PLM_OK)
      PLM_TRY(options->comm->sum(options->comm, (double *)&e.total, sizeof e.total / sizeof(double)));
  }
  if (status != PLM_OK) return status;
  if (e.total.loss.n == 0)
    return plm_fail(PLM_E_INPUT, "%s: no residue of the evaluation sequences can be predicted",
                    plm_dataset_get_info(view->dataset)->source);
  fill_metrics(&e.total, ret_metrics);
  return PLM_OK;
}
