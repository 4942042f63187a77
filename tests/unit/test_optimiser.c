/* AdamW over merged ranges: ten steps as PyTorch's, bf16 copies that follow their masters, and nothing that is not
 * finite unseen. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "support/parity.h"
#include "support/model.h"
#include "train/optimiser.h"

enum { STEPS = 10 };
static const double learning_rate = 1e-3;
static const plm_optimiser_options options = {
    .beta1 = 0.9,
    .beta2 = 0.98,
    .epsilon = 1e-8,
    .weight_decay = 0.01,
    .max_grad_norm = 1.0,
};

/* One training step; the mean loss and the norm of its gradient before clipping. */
static void train_step(parity *p, plm_optimiser *optimiser, int step, double *ret_loss, double *ret_norm) {
  plm_step_sums all;
  assert_ok(plm_model_zero_gradient(p->model, p->x));
  assert_ok(plm_model_reset_sums(p->model, p->x));
  assert_ok(plm_model_forward_backward(p->model, p->x, &p->batch, NULL));
  assert_ok(plm_optimiser_norm(optimiser, p->x));
  assert_ok(plm_model_read_sums(p->model, p->x, &all));
  assert_int_equal(all.norm.nonfinite, 0);
  const plm_loss_sums sums = all.objective[0];
  const double sum_norm = sqrt(all.norm.square);
  assert_ok(
      plm_optimiser_update(optimiser, p->x, step, learning_rate, plm_optimiser_scale(&options, sum_norm, sums.count)));
  assert_ok(plm_model_refresh(p->model, p->x, PLM_REFRESH_UPDATED));
  *ret_loss = sums.nll / (double)sums.count;
  *ret_norm = sum_norm / (double)sums.count;
}

static void check_weights(const parity *p, const char *name, float *const *initial) {
  const plm_params *params = plm_model_get_params(p->model);
  for (int i = 0; i < params->count; i++) {
    char what[128];
    int64_t count;
    float *got;
    if (params->items[i].train_offset < 0) continue;
    snprintf(what, sizeof what, "weight.%s", params->items[i].name);
    const float *expected = parity_expected(p->steps, what, &count);
    assert_ok(PLM_NEW(&got, count));
    assert_ok(plm_model_get(p->model, i, got));
    if (parity_distance(got, expected, count) > 1e-2 * parity_distance(expected, initial[i], count) ||
        parity_max_error(got, expected, count) > 0.2 * learning_rate)
      fail_msg("%s: %s differs from PyTorch's after %d steps", name, what, STEPS);
    plm_free(got);
  }
}

static void ten_steps_equal_pytorchs(void **state) {
  (void)state;
  for (int c = 0; c < PARITY_TRAINED; c++) {
    parity p;
    plm_optimiser *optimiser;
    float **initial, losses[STEPS], norms[STEPS];
    int64_t count;
    parity_open(parity_cases[c], true, NULL, PLM_F32, &p);
    const plm_params *params = plm_model_get_params(p.model);
    memcpy(losses, parity_expected(p.steps, "losses", &count), sizeof losses);
    memcpy(norms, parity_expected(p.steps, "grad_norms", &count), sizeof norms);
    assert_ok(PLM_NEW(&initial, params->count));
    for (int i = 0; i < params->count; i++) {
      assert_ok(PLM_NEW(&initial[i], params->items[i].count));
      assert_ok(plm_model_get(p.model, i, initial[i]));
    }
    assert_ok(plm_optimiser_create(p.model, p.x, &options, &optimiser));
    for (int step = 1; step <= STEPS; step++) {
      double loss, norm;
      train_step(&p, optimiser, step, &loss, &norm);
      assert_true(fabs(loss - (double)losses[step - 1]) <= 2e-5 * (double)losses[step - 1]);
      assert_true(fabs(norm - (double)norms[step - 1]) <= 1e-4 * (double)norms[step - 1]);
    }
    check_weights(&p, parity_cases[c], initial);
    for (int i = 0; i < params->count; i++) plm_free(initial[i]);
    plm_free(initial);
    plm_optimiser_destroy(optimiser);
    parity_close(&p);
  }
}

static double loss_now(parity *p) {
  plm_loss_sums sums;
  assert_ok(plm_model_reset_sums(p->model, p->x));
  assert_ok(model_evaluate(p->model, p->x, &p->batch, NULL, NULL));
  assert_ok(model_read_sums(p->model, p->x, &sums));
  return sums.nll;
}

static void bf16_copies_follow_their_masters(void **state) {
  (void)state;
  parity p;
  plm_optimiser *optimiser;
  double loss, norm, first;
  parity_open(parity_cases[0], true, NULL, PLM_BF16, &p);
  assert_ok(plm_optimiser_create(p.model, p.x, &options, &optimiser));
  first = loss_now(&p);
  for (int step = 1; step <= 3; step++) train_step(&p, optimiser, step, &loss, &norm);
  double written = loss_now(&p);
  assert_ok(plm_model_refresh(p.model, p.x, PLM_REFRESH_ALL)); /* copies made anew from the masters */
  assert_true(written == loss_now(&p));
  assert_true(written < first);
  plm_optimiser_destroy(optimiser);
  parity_close(&p);
}

static void values_that_are_not_finite_are_counted(void **state) {
  (void)state;
  parity p;
  plm_optimiser *optimiser;
  int64_t count;
  parity_open(parity_cases[0], true, NULL, PLM_F32, &p);
  const plm_params *params = plm_model_get_params(p.model);
  assert_ok(plm_optimiser_create(p.model, p.x, &options, &optimiser));
  assert_ok(plm_optimiser_count_nonfinite(optimiser, p.x, &count));
  assert_int_equal(count, 0);
  for (int i = 0, expected = 0; i < params->count; i++) {
    float *values;
    if (params->items[i].train_offset < 0) continue;
    assert_ok(PLM_NEW(&values, params->items[i].count));
    assert_ok(plm_model_get(p.model, i, values));
    values[params->items[i].count - 1] = i % 2 == 0 ? NAN : INFINITY;
    assert_ok(plm_model_set(p.model, i, values));
    assert_ok(plm_optimiser_count_nonfinite(optimiser, p.x, &count));
    assert_int_equal(count, ++expected);
    plm_free(values);
  }
  plm_optimiser_destroy(optimiser);
  parity_close(&p);
}

static void the_clip_is_of_the_mean(void **state) {
  (void)state;
  assert_true(plm_optimiser_scale(&options, 50, 100) == 1.0 / 100);                          /* norm 0.5: not clipped */
  assert_true(fabs(plm_optimiser_scale(&options, 400, 100) - 1 / (4 + 1e-6) / 100) < 1e-15); /* norm 4 */
  const plm_optimiser_options unclipped = {.max_grad_norm = 0};
  assert_true(plm_optimiser_scale(&unclipped, 1e9, 100) == 1.0 / 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ten_steps_equal_pytorchs),
      cmocka_unit_test(bf16_copies_follow_their_masters),
      cmocka_unit_test(values_that_are_not_finite_are_counted),
      cmocka_unit_test(the_clip_is_of_the_mean),
  };
  return cmocka_run_group_tests_name("optimiser", tests, NULL, NULL);
}
