/* The model computes what PyTorch computes: logits, hidden states, every gradient, ten AdamW steps, on every processor
 * level there is. Tolerances: model_spec 1.3. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "kernels/cpu/backend_cpu.h"
#include "support/parity.h"
#include "support/model.h"

/* The reference on the guarded device, then each level from the lowest up to what this machine has. */
enum { BACKENDS = 6 };
static const char *const levels[BACKENDS] = {NULL, "ref", "avx2", "avx512", "avx512bf16", "amx"};

static bool has_backend(int backend) { return backend < 2 || plm_cpu_level_detect() >= (plm_cpu_level)(backend - 1); }

typedef void check_case(const char *name, int backend);

static void for_every_backend(check_case *check, int cases) {
  for (int backend = 0; backend < BACKENDS; backend++)
    for (int i = 0; i < cases && has_backend(backend); i++) check(parity_cases[i], backend);
}

static void open_case(const char *name, int backend, parity *p) {
  parity_open(name, backend == 0, levels[backend], PLM_F32, p);
}

static void require(bool ok, const parity *p, int backend, const char *what, double error, double limit) {
  if (!ok)
    fail_msg("%s on %s: %s is off by %.3e, allowed are %.3e", p->name,
             backend == 0 ? "guarded reference" : levels[backend], what, error, limit);
}

static void require_near(const parity *p, int backend, const char *what, const float *got) {
  int64_t count;
  const float *expected = parity_expected(p->forward, what, &count);
  double error = parity_max_error(got, expected, count), limit = 1e-5 * fmax(1, parity_max(expected, count));
  require(error <= limit, p, backend, what, error, limit);
}

static void check_forward(const char *name, int backend) {
  parity p;
  open_case(name, backend, &p);
  int64_t N = p.batch.encoder.N;
  float *logits, *states, *hidden[8];
  assert_ok(PLM_NEW(&logits, N * p.V));
  assert_ok(PLM_NEW(&states, (p.L + 1) * N * p.C));
  for (int64_t i = 0; i <= p.L; i++) hidden[i] = states + i * N * p.C;
  assert_ok(model_forward(p.model, p.x, &p.batch.encoder, &(plm_request){.hidden = hidden, .logits = logits}));
  require_near(&p, backend, "logits", logits);
  for (int64_t i = 0; i <= p.L; i++) {
    char what[32];
    snprintf(what, sizeof what, "hidden_states.%d", (int)i);
    require_near(&p, backend, what, hidden[i]);
  }
  plm_free(logits);
  plm_free(states);
  parity_close(&p);
}

static void logits_and_hidden_states_equal_pytorchs(void **state) {
  (void)state;
  for_every_backend(check_forward, PARITY_CASES);
}

/* ---- gradients ---- */

/* Gradient of the mean loss, as PyTorch has it. Returns its norm over all parameters. */
static double compute_gradients(parity *p, plm_loss_sums *sums) {
  assert_ok(plm_model_zero_gradient(p->model, p->x));
  assert_ok(plm_model_reset_sums(p->model, p->x));
  assert_ok(plm_model_forward_backward(p->model, p->x, &p->batch, NULL));
  assert_ok(model_read_sums(p->model, p->x, sums));
  return 1.0 / (double)sums->count;
}

static void check_gradients(const char *name, int backend) {
  parity p;
  plm_loss_sums sums;
  int64_t count;
  open_case(name, backend, &p);
  double factor = compute_gradients(&p, &sums);
  assert_int_equal(sums.count, p.batch.objectives[0].M);
  assert_int_equal(sums.nonfinite, 0);
  double loss = *parity_expected(p.gradients, "loss", &count),
         total = *parity_expected(p.gradients, "grad_norm", &count);
  require(fabs(sums.nll * factor - loss) <= 2e-5 * loss, &p, backend, "loss", fabs(sums.nll * factor - loss),
          2e-5 * loss);
  const plm_params *params = plm_model_get_params(p.model);
  double square = 0;
  for (int i = 0; i < params->count; i++) {
    const plm_param *param = &params->items[i];
    if (param->train_offset < 0) continue;
    char what[128];
    float *got;
    snprintf(what, sizeof what, "grad.%s", param->name);
    const float *expected = parity_expected(p.gradients, what, &count);
    assert_int_equal(count, param->count);
    assert_ok(PLM_NEW(&got, count));
    assert_ok(plm_model_get_gradient(p.model, i, got));
    for (int64_t k = 0; k < count; k++) got[k] = (float)(got[k] * factor);
    double error = parity_distance(got, expected, count), limit = 1e-4 * parity_norm(expected, count) + 1e-7 * total;
    require(error <= limit, &p, backend, what, error, limit);
    square += parity_norm(got, count) * parity_norm(got, count);
    plm_free(got);
  }
  require(fabs(sqrt(square) - total) <= 1e-4 * total, &p, backend, "gradient norm", fabs(sqrt(square) - total),
          1e-4 * total);
  parity_close(&p);
}

static void every_gradient_equals_pytorchs(void **state) {
  (void)state;
  for_every_backend(check_gradients, PARITY_TRAINED);
}

/* ---- steps ---- */

enum { STEPS = 10 };
static const double LR = 1e-3, BETA1 = 0.9, BETA2 = 0.98, EPS = 1e-8, DECAY = 0.01, MAX_NORM = 1.0;

/* Moments on the device, one block each like the gradient. */
typedef struct moments {
  float *m, *v;
  plm_norm_sums *norm;
} moments;

static void allocate(parity *p, size_t bytes, void *ret_pointer) {
  void *pointer;
  assert_ok(p->device->alloc(p->device, bytes, &pointer));
  assert_ok(p->x->ops->fill(p->x, &(plm_fill_args){.to = pointer, .bytes = (int64_t)bytes}));
  memcpy(ret_pointer, &pointer, sizeof pointer);
}

static double gradient_norm(parity *p, const moments *mo, double factor) {
  plm_norm_sums sums;
  int64_t n = plm_model_get_params(p->model)->train_size;
  assert_ok(p->x->ops->fill(p->x, &(plm_fill_args){.to = mo->norm, .bytes = sizeof sums}));
  assert_ok(p->x->ops->square_norm(
      p->x, &(plm_square_norm_args){.n = n, .x = plm_model_gradient(p->model), .dtype = PLM_F32, .sums = mo->norm}));
  assert_ok(p->device->copy(p->device, &sums, mo->norm, sizeof sums, PLM_COPY_TO_HOST));
  assert_int_equal(sums.nonfinite, 0);
  return sqrt(sums.square) * factor;
}

static void update(parity *p, const moments *mo, int step, double grad_scale) {
  const plm_params *params = plm_model_get_params(p->model);
  for (int i = 0; i < params->count; i++) {
    const plm_param *param = &params->items[i];
    if (param->train_offset < 0) continue;
    assert_ok(p->x->ops->adamw(p->x, &(plm_adamw_args){
                                         .n = param->count,
                                         .w = plm_model_full(p->model) + param->offset,
                                         .grad = plm_model_gradient(p->model) + param->train_offset,
                                         .m = mo->m + param->train_offset,
                                         .v = mo->v + param->train_offset,
                                         .lr = LR,
                                         .beta1 = BETA1,
                                         .beta2 = BETA2,
                                         .eps = EPS,
                                         .decay = param->decay ? DECAY : 0,
                                         .bias1 = 1 - pow(BETA1, step),
                                         .bias2 = 1 - pow(BETA2, step),
                                         .grad_scale = grad_scale,
                                     }));
  }
  assert_ok(plm_model_refresh(p->model, p->x, PLM_REFRESH_ALL));
}

static void check_movement(const parity *p, int backend, const plm_param *param, int index, const float *initial) {
  char what[128];
  int64_t count;
  float *got;
  snprintf(what, sizeof what, "weight.%s", param->name);
  const float *expected = parity_expected(p->steps, what, &count);
  assert_ok(PLM_NEW(&got, count));
  assert_ok(plm_model_get(p->model, index, got));
  double error = parity_distance(got, expected, count), limit = 1e-2 * parity_distance(expected, initial, count);
  double worst = parity_max_error(got, expected, count);
  require(error <= limit, p, backend, what, error, limit);
  require(worst <= 0.2 * LR, p, backend, what, worst, 0.2 * LR);
  plm_free(got);
}

static void check_steps(const char *name, int backend) {
  parity p;
  moments mo;
  float losses[STEPS], norms[STEPS], *initial;
  int64_t count;
  open_case(name, backend, &p);
  const plm_params *params = plm_model_get_params(p.model);
  memcpy(losses, parity_expected(p.steps, "losses", &count), sizeof losses);
  memcpy(norms, parity_expected(p.steps, "grad_norms", &count), sizeof norms);
  assert_ok(PLM_NEW(&initial, params->full_size));
  for (int i = 0; i < params->count; i++) assert_ok(plm_model_get(p.model, i, initial + params->items[i].offset));
  allocate(&p, (size_t)params->train_size * sizeof(float), &mo.m);
  allocate(&p, (size_t)params->train_size * sizeof(float), &mo.v);
  allocate(&p, sizeof *mo.norm, &mo.norm);
  for (int step = 1; step <= STEPS; step++) {
    plm_loss_sums sums;
    double factor = compute_gradients(&p, &sums), loss = sums.nll * factor, norm = gradient_norm(&p, &mo, factor);
    double expected_loss = losses[step - 1], expected_norm = norms[step - 1];
    require(fabs(loss - expected_loss) <= 2e-5 * expected_loss, &p, backend, "loss of a step",
            fabs(loss - expected_loss), 2e-5 * expected_loss);
    require(fabs(norm - expected_norm) <= 1e-4 * expected_norm, &p, backend, "norm of a step",
            fabs(norm - expected_norm), 1e-4 * expected_norm);
    update(&p, &mo, step, factor * fmin(1, MAX_NORM / (norm + 1e-6)));
  }
  for (int i = 0; i < params->count; i++)
    if (params->items[i].train_offset >= 0)
      check_movement(&p, backend, &params->items[i], i, initial + params->items[i].offset);
  void *blocks[] = {mo.m, mo.v, mo.norm};
  for (size_t i = 0; i < 3; i++) p.device->free(p.device, blocks[i]);
  plm_free(initial);
  parity_close(&p);
}

static void ten_adamw_steps_equal_pytorchs(void **state) {
  (void)state;
  for_every_backend(check_steps, PARITY_TRAINED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(logits_and_hidden_states_equal_pytorchs),
      cmocka_unit_test(every_gradient_equals_pytorchs),
      cmocka_unit_test(ten_adamw_steps_equal_pytorchs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
