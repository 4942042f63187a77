/* What the model promises besides agreeing with PyTorch (test_parity): independence of batch mates, accumulation,
 * memory, initialisation.
 */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "support/parity.h"
#include "support/model.h"

static float *all_gradients(parity *p) {
  const plm_params *params = plm_model_get_params(p->model);
  float *values;
  assert_ok(PLM_NEW(&values, params->train_size));
  for (int i = 0; i < params->count; i++)
    if (params->items[i].train_offset >= 0)
      assert_ok(plm_model_get_gradient(p->model, i, values + params->items[i].train_offset));
  return values;
}

static float *compute_gradients(parity *p) {
  assert_ok(plm_model_zero_gradient(p->model, p->x));
  assert_ok(plm_model_forward_backward(p->model, p->x, &p->batch, NULL));
  return all_gradients(p);
}

static plm_loss_sums read_sums(parity *p) {
  plm_loss_sums sums;
  assert_ok(model_read_sums(p->model, p->x, &sums));
  assert_ok(plm_model_reset_sums(p->model, p->x));
  return sums;
}

/* ---- inference ---- */

enum { ROWS = 256, LOGITS = 1 << 14 };

/* Per-row losses of one sequence alone are, bit for bit, what they are in any company and order; so are logits. */
static void check_independence(plm_dtype dtype) {
  static const int64_t orders[][5] = {{0, 1, 2, -1}, {2, 1, 0, -1}, {1, -1}, {2, 0, -1}, {1, 1, 1, 0, -1}};
  for (int c = 0; c < PARITY_TRAINED; c++) {
    parity p;
    parity_slice slice;
    float alone[3][ROWS], alone_logits[3][LOGITS], rows[ROWS];
    static float logits[LOGITS];
    parity_open(parity_cases[c], false, NULL, dtype, &p);
    for (int64_t s = 0; s < 3; s++) {
      parity_take(&p.batch, &s, 1, &slice);
      assert_ok(model_evaluate(p.model, p.x, &slice.batch, alone[s], NULL));
      assert_ok(model_forward(p.model, p.x, &slice.batch.encoder, &(plm_request){.logits = alone_logits[s]}));
    }
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
      int64_t count = 0, m = 0, n = 0, tokens = 0;
      while (orders[o][count] >= 0) {
        int64_t s = orders[o][count++];
        tokens += p.cu_seqlens[s + 1] - p.cu_seqlens[s];
      }
      if (tokens > p.batch.encoder.N) continue;
      parity_take(&p.batch, orders[o], count, &slice);
      assert_ok(model_evaluate(p.model, p.x, &slice.batch, rows, NULL));
      assert_ok(model_forward(p.model, p.x, &slice.batch.encoder, &(plm_request){.logits = logits}));
      for (int64_t i = 0; i < count; i++) {
        parity_slice one;
        parity_take(&p.batch, &orders[o][i], 1, &one);
        int64_t M = one.batch.objectives[0].M, N = one.batch.encoder.N;
        assert_memory_equal(rows + m, alone[orders[o][i]], (size_t)M * sizeof(float));
        assert_memory_equal(logits + n * p.V, alone_logits[orders[o][i]], (size_t)(N * p.V) * sizeof(float));
        m += M;
        n += N;
      }
    }
    parity_close(&p);
  }
}

static void results_do_not_depend_on_batch_mates(void **state) {
  (void)state;
  check_independence(PLM_F32);
  check_independence(PLM_BF16);
}

/* The last layer computed at the predicted rows only gives the losses that logits of all rows give. */
static void row_losses_are_those_of_the_full_logits(void **state) {
  (void)state;
  for (int c = 0; c < PARITY_TRAINED; c++) {
    parity p;
    float rows[ROWS];
    int32_t predictions[ROWS];
    static float logits[LOGITS];
    double total = 0;
    int64_t correct = 0;
    parity_open(parity_cases[c], false, NULL, PLM_F32, &p);
    const plm_objective *o = &p.batch.objectives[0];
    read_sums(&p);
    assert_ok(model_evaluate(p.model, p.x, &p.batch, rows, predictions));
    plm_loss_sums sums = read_sums(&p);
    assert_ok(model_forward(p.model, p.x, &p.batch.encoder, &(plm_request){.logits = logits}));
    for (int64_t m = 0; m < o->M; m++) {
      const float *z = logits + o->rows[m] * p.V;
      double sum = 0;
      int64_t best = 0;
      for (int64_t v = 0; v < p.V; v++) {
        sum += exp(z[v]);
        if (z[v] > z[best]) best = v;
      }
      double nll = log(sum) - z[o->targets[m]];
      assert_true(fabs(rows[m] - nll) < 2e-5 * fmax(1, nll));
      assert_int_equal(predictions[m], best);
      total += rows[m];
      correct += best == o->targets[m];
    }
    assert_true(fabs(sums.nll - total) < 1e-4);
    assert_int_equal(sums.count, o->M);
    assert_int_equal(sums.correct, correct);
    parity_close(&p);
  }
}

/* A request for early states stops there and gives the same numbers. */
static void early_states_need_early_layers_only(void **state) {
  (void)state;
  parity p;
  parity_open("d8", false, NULL, PLM_F32, &p);
  int64_t size = p.batch.encoder.N * p.C;
  float *values, *hidden[4] = {0};
  assert_ok(PLM_NEW(&values, 4 * size));
  for (int i = 0; i < 4; i++) hidden[i] = values + i * size;
  assert_ok(model_forward(p.model, p.x, &p.batch.encoder, &(plm_request){.hidden = hidden}));
  for (int i = 0; i < 4; i++) {
    float *one[4] = {0}, *alone;
    assert_ok(PLM_NEW(&alone, size));
    one[i] = alone;
    p.x->flops = 0;
    assert_ok(model_forward(p.model, p.x, &p.batch.encoder, &(plm_request){.hidden = one}));
    assert_memory_equal(alone, hidden[i], (size_t)size * sizeof(float));
    assert_int_equal(p.x->flops > 0, i > 0);
    plm_free(alone);
  }
  plm_free(values);
  parity_close(&p);
}

/* ---- training ---- */

static void gradients_are_the_same_bits_every_time(void **state) {
  (void)state;
  parity p;
  parity_open("d24", false, NULL, PLM_F32, &p);
  float *first = compute_gradients(&p), *second = compute_gradients(&p);
  assert_memory_equal(first, second, (size_t)plm_model_get_params(p.model)->train_size * sizeof(float));
  plm_free(first);
  plm_free(second);
  parity_close(&p);
}

static void micro_batches_add_up(void **state) {
  (void)state;
  for (int c = 0; c < PARITY_TRAINED; c++) {
    parity p;
    parity_open(parity_cases[c], false, NULL, PLM_F32, &p);
    int64_t n = plm_model_get_params(p.model)->train_size;
    read_sums(&p);
    float *whole = compute_gradients(&p);
    plm_loss_sums whole_sums = read_sums(&p);
    assert_ok(plm_model_zero_gradient(p.model, p.x));
    for (int64_t s = 0; s < p.batch.encoder.S; s++) {
      parity_slice slice;
      parity_take(&p.batch, &s, 1, &slice);
      assert_ok(plm_model_forward_backward(p.model, p.x, &slice.batch, NULL));
    }
    float *parts = all_gradients(&p);
    plm_loss_sums parts_sums = read_sums(&p);
    assert_true(parity_distance(whole, parts, n) <= 1e-5 * parity_norm(whole, n));
    assert_true(fabs(whole_sums.nll - parts_sums.nll) <= 1e-5 * whole_sums.nll);
    assert_int_equal(whole_sums.count, parts_sums.count);
    assert_int_equal(whole_sums.correct, parts_sums.correct);
    plm_free(whole);
    plm_free(parts);
    parity_close(&p);
  }
}

/* Loss after a step of length `step` along the gradient's direction. */
static double loss_along(parity *p, const float *master, const float *gradient, double step) {
  const plm_params *params = plm_model_get_params(p->model);
  double norm = parity_norm(gradient, params->train_size);
  for (int i = 0; i < params->count; i++) {
    const plm_param *param = &params->items[i];
    if (param->train_offset < 0) continue;
    float *moved;
    assert_ok(PLM_NEW(&moved, param->count));
    for (int64_t k = 0; k < param->count; k++)
      moved[k] = (float)(master[param->offset + k] + step * gradient[param->train_offset + k] / norm);
    assert_ok(plm_model_set(p->model, i, moved));
    plm_free(moved);
  }
  assert_ok(plm_model_refresh(p->model, p->x, PLM_REFRESH_ALL));
  assert_ok(model_evaluate(p->model, p->x, &p->batch, NULL, NULL));
  return read_sums(p).nll;
}

static void loss_moves_along_the_gradient_as_it_says(void **state) {
  (void)state;
  for (int c = 0; c < PARITY_TRAINED; c++) {
    parity p;
    parity_open(parity_cases[c], false, NULL, PLM_F32, &p);
    const plm_params *params = plm_model_get_params(p.model);
    float *master, *gradient = compute_gradients(&p);
    assert_ok(PLM_NEW(&master, params->full_size));
    for (int i = 0; i < params->count; i++) assert_ok(plm_model_get(p.model, i, master + params->items[i].offset));
    read_sums(&p);
    double h = 1e-3, slope = (loss_along(&p, master, gradient, h) - loss_along(&p, master, gradient, -h)) / (2 * h);
    double expected = parity_norm(gradient, params->train_size);
    if (!(fabs(slope / expected - 1) < 0.01)) fail_msg("%s: slope %g, gradient norm %g", p.name, slope, expected);
    plm_free(master);
    plm_free(gradient);
    parity_close(&p);
  }
}

typedef struct bucket_log {
  int needed[8], ready[8], needed_count, ready_count, fail_at;
} bucket_log;

static plm_status log_needed(void *user, int bucket) {
  bucket_log *log = user;
  assert_int_equal(log->ready_count, 0);
  log->needed[log->needed_count++] = bucket;
  return bucket == log->fail_at ? plm_fail(PLM_E_FAILURE, "link down") : PLM_OK;
}

static plm_status log_ready(void *user, int bucket) {
  bucket_log *log = user;
  log->ready[log->ready_count++] = bucket;
  return PLM_OK;
}

static void check_buckets(parity *p, const plm_batch *batch) {
  bucket_log log = {.fail_at = -1};
  plm_model_set_shards(p->model, &(plm_model_shards){.user = &log, .arrive = log_needed});
  assert_ok(plm_model_forward_backward(p->model, p->x, batch, &(plm_bucket_hooks){&log, log_ready}));
  plm_model_set_shards(p->model, NULL);
  int buckets = (int)p->L + 2;
  assert_int_equal(log.needed_count, buckets);
  assert_int_equal(log.ready_count, buckets);
  for (int b = 0; b < buckets; b++) {
    assert_int_equal(log.needed[b], b);
    assert_int_equal(log.ready[b], buckets - 1 - b);
  }
}

static void buckets_are_asked_for_forwards_and_ready_backwards(void **state) {
  (void)state;
  parity p;
  parity_open("d8", false, NULL, PLM_F32, &p);
  check_buckets(&p, &p.batch);
  plm_batch empty = {.objective_count = 1};
  check_buckets(&p, &empty);
  bucket_log log = {.fail_at = 2};
  plm_model_set_shards(p.model, &(plm_model_shards){.user = &log, .arrive = log_needed});
  assert_fails(plm_model_forward_backward(p.model, p.x, &p.batch, &(plm_bucket_hooks){&log, log_ready}), PLM_E_FAILURE,
               "link down");
  parity_close(&p);
}

static void batches_without_tokens_or_targets_add_nothing(void **state) {
  (void)state;
  parity p;
  parity_open("d8", true, NULL, PLM_F32, &p);
  plm_batch no_targets = p.batch, no_tokens = {.objective_count = 1, .objectives = {{.weight = 1}}},
            no_objective = p.batch;
  no_targets.objectives[0].M = 0;
  no_objective.objective_count = 0;
  const plm_batch *batches[] = {&no_targets, &no_tokens, &no_objective};
  assert_ok(plm_model_zero_gradient(p.model, p.x));
  read_sums(&p);
  for (int i = 0; i < 3; i++) {
    assert_ok(plm_model_forward_backward(p.model, p.x, batches[i], NULL));
    assert_ok(model_evaluate(p.model, p.x, batches[i], NULL, NULL));
  }
  assert_ok(model_forward(p.model, p.x, &no_tokens.encoder, &(plm_request){0}));
  plm_loss_sums sums = read_sums(&p);
  assert_true(sums.nll == 0 && sums.count == 0 && sums.correct == 0 && sums.nonfinite == 0);
  float *gradient = all_gradients(&p);
  assert_true(parity_max(gradient, plm_model_get_params(p.model)->train_size) == 0);
  plm_free(gradient);
  parity_close(&p);
}

/* Storage in bf16 has 8 bits: losses move by less than a hundredth, and the gradient keeps its direction. */
static void check_half(const char *name, bool guarded) {
  parity full, half;
  parity_open(name, false, NULL, PLM_F32, &full);
  parity_open(name, guarded, NULL, PLM_BF16, &half);
  int64_t n = plm_model_get_params(full.model)->train_size;
  read_sums(&full), read_sums(&half);
  float *a = compute_gradients(&full), *b = compute_gradients(&half);
  double loss = read_sums(&full).nll, half_loss = read_sums(&half).nll, dot = 0;
  for (int64_t i = 0; i < n; i++) dot += (double)a[i] * b[i];
  double cosine = dot / (parity_norm(a, n) * parity_norm(b, n));
  if (!(fabs(half_loss / loss - 1) < 0.01 && cosine > 0.995))
    fail_msg("%s: loss %g against %g, cosine %g", name, half_loss, loss, cosine);
  plm_free(a);
  plm_free(b);
  parity_close(&full);
  parity_close(&half);
}

static void bf16_stays_close_to_fp32(void **state) {
  (void)state;
  for (int c = 0; c < PARITY_TRAINED; c++) {
    check_half(parity_cases[c], false);
    check_half(parity_cases[c], true);
  }
}

/* ---- what is wrong with a batch is said ---- */

static void impossible_batches_are_refused(void **state) {
  (void)state;
  parity p;
  parity_open("d8", true, NULL, PLM_F32, &p);
  int32_t masks[4] = {32, 32, 32, 32}, positions[4] = {0, 1, 2, 3}, cu_seqlens[2] = {0, 4}, row = 1, target = 5;
  plm_batch batch = {
      .encoder = {.N = 4, .S = 1, .max_length = 4, .tokens = masks, .positions = positions, .cu_seqlens = cu_seqlens},
      .objective_count = 1,
      .objectives = {{.M = 1, .rows = &row, .targets = &target, .weight = 1}},
  };
  assert_fails(model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_INPUT, "<mask>");
  masks[0] = 0;
  assert_ok(model_evaluate(p.model, p.x, &batch, NULL, NULL));
  masks[1] = 33;
  assert_fails(model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "tokens");
  masks[1] = 5;
  positions[3] = (int32_t)p.batch.encoder.max_length;
  assert_fails(model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "position");
  positions[3] = 3;
  target = -1;
  assert_fails(model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "targets");
  target = 5;
  row = 4;
  assert_fails(model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "rows");
  row = 1;
  cu_seqlens[1] = 3;
  assert_fails(model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "cu_seqlens");
  cu_seqlens[1] = 4;
  batch.encoder.N = p.batch.encoder.N + 1;
  assert_fails(model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "made for");
  batch.encoder.N = 4;
  batch.has_decoder = true;
  assert_fails(model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_UNSUPPORTED, "decoder");
  parity_close(&p);
}

/* ---- arithmetic ---- */

static void counted_flops_are_the_formulas(void **state) {
  (void)state;
  parity p;
  parity_open("d16_half_inv_freq", false, NULL, PLM_F32, &p);
  const plm_tokens *t = &p.batch.encoder;
  double squares = 0, last_squares = 0;
  const plm_objective *o = &p.batch.objectives[0];
  for (int64_t s = 0; s < t->S; s++) {
    double length = t->cu_seqlens[s + 1] - t->cu_seqlens[s], rows = 0;
    for (int64_t m = 0; m < o->M; m++) rows += o->rows[m] >= t->cu_seqlens[s] && o->rows[m] < t->cu_seqlens[s + 1];
    squares += length * length;
    last_squares += length * rows;
  }
  p.x->flops = 0;
  assert_ok(plm_model_forward_backward(p.model, p.x, &p.batch, NULL));
  double N = (double)t->N, share = (double)o->M / N, t_mean = squares / N;
  double formula = model_train_flops(plm_model_get_config(p.model), t_mean, share) * N;
  formula += 12 * (double)p.C * (last_squares - share * squares); /* the formula takes rows to be spread evenly */
  assert_true(fabs(p.x->flops / formula - 1) < 1e-9);
  parity_close(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(results_do_not_depend_on_batch_mates),
      cmocka_unit_test(row_losses_are_those_of_the_full_logits),
      cmocka_unit_test(early_states_need_early_layers_only),
      cmocka_unit_test(gradients_are_the_same_bits_every_time),
      cmocka_unit_test(micro_batches_add_up),
      cmocka_unit_test(loss_moves_along_the_gradient_as_it_says),
      cmocka_unit_test(buckets_are_asked_for_forwards_and_ready_backwards),
      cmocka_unit_test(batches_without_tokens_or_targets_add_nothing),
      cmocka_unit_test(bf16_stays_close_to_fp32),
      cmocka_unit_test(impossible_batches_are_refused),
      cmocka_unit_test(counted_flops_are_the_formulas),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
