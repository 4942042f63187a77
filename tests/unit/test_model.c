/* What the model promises besides agreeing with PyTorch (test_parity): independence of batch mates, accumulation, memory, initialisation. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "support/parity.h"

static plm_device *device;
static plm_exec *x;

static int open_machine(void **state) {
  (void)state;
  assert_ok(plm_device_cpu_create(&device));
  assert_ok(plm_exec_create_cpu(device, 2, NULL, &x));
  return 0;
}

static int close_machine(void **state) {
  (void)state;
  plm_exec_destroy(x);
  plm_device_destroy(device);
  return 0;
}

static float *all_gradients(parity *p) {
  const plm_params *params = plm_model_get_params(p->model);
  float *values;
  assert_ok(PLM_NEW(&values, params->train_size));
  for (int i = 0; i < params->count; i++)
    if (params->items[i].train_offset >= 0) assert_ok(plm_model_get_gradient(p->model, i, values + params->items[i].train_offset));
  return values;
}

static float *compute_gradients(parity *p) {
  assert_ok(plm_model_zero_gradient(p->model, p->x));
  assert_ok(plm_model_forward_backward(p->model, p->x, &p->batch, NULL));
  return all_gradients(p);
}

static plm_loss_sums read_sums(parity *p) {
  plm_loss_sums sums;
  assert_ok(plm_model_read_sums(p->model, p->x, &sums));
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
      assert_ok(plm_model_evaluate(p.model, p.x, &slice.batch, alone[s], NULL));
      assert_ok(plm_model_forward(p.model, p.x, &slice.batch.encoder, &(plm_forward_request){.logits = alone_logits[s]}));
    }
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
      int64_t count = 0, m = 0, n = 0, tokens = 0;
      while (orders[o][count] >= 0) {
        int64_t s = orders[o][count++];
        tokens += p.cu_seqlens[s + 1] - p.cu_seqlens[s];
      }
      if (tokens > p.batch.encoder.N) continue;
      parity_take(&p.batch, orders[o], count, &slice);
      assert_ok(plm_model_evaluate(p.model, p.x, &slice.batch, rows, NULL));
      assert_ok(plm_model_forward(p.model, p.x, &slice.batch.encoder, &(plm_forward_request){.logits = logits}));
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
    assert_ok(plm_model_evaluate(p.model, p.x, &p.batch, rows, predictions));
    plm_loss_sums sums = read_sums(&p);
    assert_ok(plm_model_forward(p.model, p.x, &p.batch.encoder, &(plm_forward_request){.logits = logits}));
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
  assert_ok(plm_model_refresh(p->model, p->x, false));
  assert_ok(plm_model_evaluate(p->model, p->x, &p->batch, NULL, NULL));
  return read_sums(p).nll;
}

static void loss_moves_along_the_gradient_as_it_says(void **state) {
  (void)state;
  for (int c = 0; c < PARITY_TRAINED; c++) {
    parity p;
    parity_open(parity_cases[c], false, NULL, PLM_F32, &p);
    const plm_params *params = plm_model_get_params(p.model);
    float *master, *gradient = compute_gradients(&p);
    assert_ok(PLM_NEW(&master, params->master_size));
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
  assert_ok(plm_model_forward_backward(p->model, p->x, batch, &(plm_bucket_hooks){&log, log_needed, log_ready}));
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
  assert_fails(plm_model_forward_backward(p.model, p.x, &p.batch, &(plm_bucket_hooks){&log, log_needed, log_ready}), PLM_E_FAILURE, "link down");
  parity_close(&p);
}

static void batches_without_tokens_or_targets_add_nothing(void **state) {
  (void)state;
  parity p;
  parity_open("d8", true, NULL, PLM_F32, &p);
  plm_batch no_targets = p.batch, no_tokens = {.objective_count = 1, .objectives = {{.weight = 1}}}, no_objective = p.batch;
  no_targets.objectives[0].M = 0;
  no_objective.objective_count = 0;
  const plm_batch *batches[] = {&no_targets, &no_tokens, &no_objective};
  assert_ok(plm_model_zero_gradient(p.model, p.x));
  read_sums(&p);
  for (int i = 0; i < 3; i++) {
    assert_ok(plm_model_forward_backward(p.model, p.x, batches[i], NULL));
    assert_ok(plm_model_evaluate(p.model, p.x, batches[i], NULL, NULL));
  }
  assert_ok(plm_model_forward(p.model, p.x, &no_tokens.encoder, &(plm_forward_request){0}));
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
  if (!(fabs(half_loss / loss - 1) < 0.01 && cosine > 0.995)) fail_msg("%s: loss %g against %g, cosine %g", name, half_loss, loss, cosine);
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
  plm_batch batch = {.encoder = {.N = 4, .S = 1, .max_length = 4, .tokens = masks, .positions = positions, .cu_seqlens = cu_seqlens},
                     .objective_count = 1,
                     .objectives = {{.M = 1, .rows = &row, .targets = &target, .weight = 1}}};
  assert_fails(plm_model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_INPUT, "<mask>");
  masks[0] = 0;
  assert_ok(plm_model_evaluate(p.model, p.x, &batch, NULL, NULL));
  masks[1] = 33;
  assert_fails(plm_model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "tokens");
  masks[1] = 5;
  positions[3] = (int32_t)p.batch.encoder.max_length;
  assert_fails(plm_model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "position");
  positions[3] = 3;
  target = -1;
  assert_fails(plm_model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "targets");
  target = 5;
  row = 4;
  assert_fails(plm_model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "rows");
  row = 1;
  cu_seqlens[1] = 3;
  assert_fails(plm_model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "cu_seqlens");
  cu_seqlens[1] = 4;
  batch.encoder.N = p.batch.encoder.N + 1;
  assert_fails(plm_model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_BUG, "made for");
  batch.encoder.N = 4;
  batch.has_decoder = true;
  assert_fails(plm_model_evaluate(p.model, p.x, &batch, NULL, NULL), PLM_E_UNSUPPORTED, "decoder");
  parity_close(&p);
}

/* ---- memory ---- */

static plm_model_config tiny_config(void) {
  plm_model_config c;
  assert_ok(plm_model_config_preset("esm2_t6_8M", &c));
  c.hidden_size = 32;
  c.num_attention_heads = 4;
  c.head_width = 8;
  c.intermediate_size = 64;
  c.num_hidden_layers = 3;
  return c;
}

/* What a run takes is what the plan said, no more and hardly less. */
static void the_plan_is_what_is_taken(void **state) {
  (void)state;
  static const plm_model_options cases[] = {
      {.dtype = PLM_F32, .training = true, .max_tokens = 200, .max_length = 50},
      {.dtype = PLM_BF16, .training = true, .max_tokens = 200, .max_length = 300, .all_rows = true},
      {.dtype = PLM_F32, .max_tokens = 128, .max_length = 64, .all_rows = true},
      {.dtype = PLM_BF16, .max_tokens = 128, .max_length = 64},
  };
  for (int level = PLM_CPU_REF; level <= (int)plm_cpu_level_detect(); level++)
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
      plm_device *own;
      plm_exec *exec;
      plm_model *model;
      plm_memory_plan plan;
      plm_model_config config = tiny_config();
      assert_ok(plm_device_cpu_create(&own));
      assert_ok(plm_exec_create_cpu(own, 2, plm_cpu_level_name((plm_cpu_level)level), &exec));
      assert_ok(plm_model_plan(&config, &cases[i], exec, &plan));
      assert_int_equal(own->bytes_peak, 0);
      assert_int_equal(plan.total, plan.parameters + plan.gradients + plan.optimizer + plan.activations + plan.workspace);
      assert_ok(plm_model_create(&config, &cases[i], exec, &model));
      assert_ok(plm_model_initialise(model, 1));
      assert_ok(plm_model_refresh(model, exec, false));
      int64_t taken = (int64_t)own->bytes_peak, promised = plan.total - plan.optimizer;
      assert_true(taken <= promised);
      assert_true((double)taken >= 0.9 * (double)promised);
      plm_model_destroy(model);
      plm_exec_destroy(exec);
      assert_int_equal(own->bytes_in_use, 0);
      plm_device_destroy(own);
    }
}

static void plans_cost_nothing_and_stay_modest(void **state) {
  (void)state;
  plm_model_config c;
  plm_memory_plan plan;
  plm_model_options options = {.dtype = PLM_F32, .training = true, .max_tokens = 4096, .max_length = 1024};
  size_t before = device->bytes_peak;
  assert_ok(plm_model_config_preset("esm2_t6_8M", &c));
  assert_ok(plm_model_plan(&c, &options, x, &plan));
  assert_true(plan.total < (int64_t)1 << 30);
  assert_ok(plm_model_config_preset("esm2_t48_15B", &c));
  assert_ok(plm_model_plan(&c, &options, x, &plan));
  assert_true(plan.parameters > 60500000000 && plan.gradients > 60500000000 && plan.optimizer > 121000000000);
  assert_int_equal(device->bytes_peak, before);
  plm_model *model;
  assert_fails(plm_model_create(&c, &options, x, &model), PLM_E_RESOURCE, "is available");
  assert_int_equal(device->bytes_peak, before);
}

static void failed_allocations_leave_nothing_behind(void **state) {
  (void)state;
  plm_model_config config = tiny_config();
  const plm_model_options options = {.dtype = PLM_BF16, .training = true, .max_tokens = 16, .max_length = 8};
  plm_model *model;
  assert_ok(plm_model_create(&config, &options, x, &model)); /* the workspace is the exec's, and stays */
  plm_model_destroy(model);
  int64_t live = plm_alloc_live();
  plm_status status = PLM_E_RESOURCE;
  for (int64_t n = 1; status != PLM_OK; n++) {
    plm_alloc_fail_at(n);
    status = plm_model_create(&config, &options, x, &model);
    plm_alloc_fail_at(0);
    if (status == PLM_OK) plm_model_destroy(model);
    else assert_int_equal(status, PLM_E_RESOURCE);
    assert_int_equal(plm_alloc_live(), live);
  }
}

/* ---- from scratch ---- */

static void initial_values_have_the_promised_statistics(void **state) {
  (void)state;
  plm_model_config config = tiny_config();
  config.hidden_size = 64;
  config.head_width = 16;
  plm_model *model;
  const plm_model_options options = {.dtype = PLM_F32, .max_tokens = 16, .max_length = 8};
  assert_ok(plm_model_create(&config, &options, x, &model));
  assert_ok(plm_model_initialise(model, 7));
  const plm_params *params = plm_model_get_params(model);
  for (int i = 0; i < params->count; i++) {
    const plm_param *p = &params->items[i];
    float *values;
    double sum = 0, squares = 0;
    assert_ok(PLM_NEW(&values, p->count));
    assert_ok(plm_model_get(model, i, values));
    for (int64_t k = 0; k < p->count; k++) {
      sum += values[k];
      squares += (double)values[k] * values[k];
      if (p->role == PLM_ROLE_NORM_WEIGHT) assert_true(values[k] == 1);
      if (p->role == PLM_ROLE_EMBEDDING && k / p->shape[1] == config.pad_token_id) assert_true(values[k] == 0);
    }
    double n = (double)p->count, deviation = sqrt(squares / n);
    bool is_random = p->role == PLM_ROLE_MATRIX || p->role == PLM_ROLE_EMBEDDING;
    if (is_random) assert_true(fabs(deviation / 0.02 - 1) < 0.06 && fabs(sum / n) < 5 * 0.02 / sqrt(n));
    if (p->role == PLM_ROLE_BIAS || p->role == PLM_ROLE_NORM_BIAS || p->role == PLM_ROLE_CONTACT) assert_true(squares == 0);
    if (p->role == PLM_ROLE_INV_FREQ) assert_true(values[0] == 1 && fabsf(values[1] - 0.3162277660f) < 1e-8f);
    plm_free(values);
  }
  plm_model_destroy(model);
}

/* The seed is a promise: these numbers never change. */
static void initial_values_are_a_function_of_seed_and_name(void **state) {
  (void)state;
  plm_model_config config = tiny_config();
  const plm_model_options options = {.dtype = PLM_F32, .max_tokens = 16, .max_length = 8};
  float first[4], other[4], values[32 * 33];
  plm_model *model;
  assert_ok(plm_model_create(&config, &options, x, &model));
  const plm_params *params = plm_model_get_params(model);
  int query = (int)(plm_params_find(params, "esm.encoder.layer.1.attention.self.query.weight") - params->items);
  assert_ok(plm_model_initialise(model, 42));
  assert_ok(plm_model_get(model, query, values));
  memcpy(first, values, sizeof first);
  assert_ok(plm_model_get(model, query + 1, values));
  assert_memory_not_equal(first, values, sizeof first);
  plm_model_destroy(model);

  config.num_hidden_layers = 2;
  plm_exec *one_thread;
  assert_ok(plm_exec_create_cpu(device, 1, NULL, &one_thread));
  assert_ok(plm_model_create(&config, &options, one_thread, &model));
  assert_ok(plm_model_initialise(model, 42));
  assert_ok(plm_model_get(model, query, values));
  memcpy(other, values, sizeof other);
  assert_memory_equal(first, other, sizeof first);
  assert_ok(plm_model_initialise(model, 43));
  assert_ok(plm_model_get(model, query, values));
  assert_memory_not_equal(first, values, sizeof first);
  static const float golden[4] = {-0.0406390689f, 0.000580377528f, -0.0248112138f, 0.00727895182f};
  for (int i = 0; i < 4; i++)
    assert_true(fabsf(first[i] - golden[i]) <= 1e-8f);
  plm_model_destroy(model);
  plm_exec_destroy(one_thread);
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
  double formula = plm_model_train_flops(plm_model_get_config(p.model), t_mean, share) * N;
  formula += 12 * (double)p.C * (last_squares - share * squares); /* the formula takes rows to be spread evenly */
  assert_true(fabs(p.x->flops / formula - 1) < 1e-9);
  parity_close(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(results_do_not_depend_on_batch_mates),
      cmocka_unit_test(row_losses_are_those_of_the_full_logits),
      cmocka_unit_test(gradients_are_the_same_bits_every_time),
      cmocka_unit_test(micro_batches_add_up),
      cmocka_unit_test(loss_moves_along_the_gradient_as_it_says),
      cmocka_unit_test(buckets_are_asked_for_forwards_and_ready_backwards),
      cmocka_unit_test(batches_without_tokens_or_targets_add_nothing),
      cmocka_unit_test(bf16_stays_close_to_fp32),
      cmocka_unit_test(impossible_batches_are_refused),
      cmocka_unit_test(the_plan_is_what_is_taken),
      cmocka_unit_test(plans_cost_nothing_and_stay_modest),
      cmocka_unit_test(failed_allocations_leave_nothing_behind),
      cmocka_unit_test(initial_values_have_the_promised_statistics),
      cmocka_unit_test(initial_values_are_a_function_of_seed_and_name),
      cmocka_unit_test(counted_flops_are_the_formulas),
  };
  return cmocka_run_group_tests(tests, open_machine, close_machine);
}
