/* AdamW over merged ranges: ten steps as PyTorch's, bf16 copies that follow their masters, and nothing that is not
 * finite unseen. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "formats/safetensors.h"
#include "support/parity.h"
#include "support/model.h"
#include "support/scratch.h"
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

/* ---- another kind: one number a row and one a parameter, which no range alone could have ---- */

static int shape_of_rows(const plm_param *param, int64_t shape[PLM_TENSOR_MAX_DIMS]) {
  shape[0] = param->shape[0];
  return 1;
}

static int shape_of_scalar(const plm_param *param, int64_t shape[PLM_TENSOR_MAX_DIMS]) {
  (void)param, (void)shape;
  return 0;
}

static float *copy_to_host(const plm_exec *x, const float *from, int64_t count) {
  float *values;
  assert_ok(PLM_NEW(&values, count));
  assert_ok(x->device->copy(x->device, values, from, (size_t)count * sizeof *values, PLM_COPY_TO_HOST));
  return values;
}

static void give_back(const plm_exec *x, float *to, float *values, int64_t count) {
  assert_ok(x->device->copy(x->device, to, values, (size_t)count * sizeof *values, PLM_COPY_TO_DEVICE));
  plm_free(values);
}

/* Steps along the gradient; sums each row's squares, and keeps t. */
static plm_status update_rows(plm_exec *x, const plm_optimiser_update_args *u) {
  int64_t rows = u->param->shape[0], columns = u->n / rows;
  float t = (float)u->t, *w = copy_to_host(x, u->w, u->n), *grad = copy_to_host(x, u->grad, u->n),
        *sums = copy_to_host(x, u->state[0], rows);
  assert_int_equal(u->n, u->param->count);
  for (int64_t i = 0; i < u->n; i++) {
    double g = (double)grad[i] * u->gradient_scale;
    sums[i / columns] += (float)(g * g);
    w[i] -= (float)(u->learning_rate * g);
  }
  plm_free(grad);
  give_back(x, u->w, w, u->n);
  give_back(x, u->state[0], sums, rows);
  return x->device->copy(x->device, u->state[1], &t, sizeof t, PLM_COPY_TO_DEVICE);
}

static const plm_optimiser_kind rows_kind = {
    .name = "rows",
    .states = {{".row_sum", shape_of_rows}, {".count", shape_of_scalar}},
    .state_count = 2,
    .update = update_rows,
};

static float *all_states(const plm_tensor_list *list) {
  char *values;
  int64_t at = 0;
  assert_ok(PLM_NEW(&values, plm_tensor_list_bytes(list)));
  for (size_t i = 0; i < list->count; at += list->items[i++].bytes)
    assert_ok(plm_tensor_list_fill(list, &list->items[i], values + at));
  return (float *)values;
}

static void a_kind_with_other_states_trains_and_is_saved_by_name(void **state) {
  (void)state;
  plm_optimiser_options other = options;
  other.kind = &rows_kind;
  parity p;
  plm_optimiser *trained, *fresh;
  plm_tensor_list list, empty, adamw;
  double loss, norm;
  int64_t rows = 0, params_trained = 0;
  parity_open(parity_cases[0], true, NULL, PLM_F32, &p);
  const plm_params *params = plm_model_get_params(p.model);
  for (int i = 0; i < params->count; i++)
    if (params->items[i].train_offset >= 0) rows += params->items[i].shape[0], params_trained++;
  assert_ok(plm_optimiser_create(p.model, p.x, &other, &trained));
  double first = loss_now(&p);
  for (int step = 1; step <= 3; step++) train_step(&p, trained, step, &loss, &norm);
  assert_true(loss_now(&p) < first);

  assert_ok(plm_optimiser_tensors(trained, &list));
  assert_int_equal(list.count, 2 * params_trained);
  assert_int_equal(plm_tensor_list_bytes(&list), 4 * (rows + params_trained));
  const plm_planned_optimiser planned = plm_optimiser_planned(&rows_kind), usual = plm_optimiser_planned(NULL);
  assert_true(planned.bytes(planned.kind, params) >= plm_tensor_list_bytes(&list));
  assert_true(planned.bytes(planned.kind, params) < usual.bytes(usual.kind, params));
  assert_string_equal(list.items[0].name, "esm.embeddings.word_embeddings.weight.row_sum");
  assert_int_equal(list.items[0].dims, 1);
  assert_int_equal(list.items[1].dims, 0);
  float *before = all_states(&list);
  const char *path = scratch_path("states.safetensors");
  assert_ok(plm_safetensors_write(path, &list, NULL, NULL));

  assert_ok(plm_optimiser_create(p.model, p.x, &other, &fresh));
  assert_ok(plm_optimiser_tensors(fresh, &empty));
  assert_ok(plm_tensor_list_read(&empty, path));
  float *after = all_states(&empty);
  assert_memory_equal(before, after, (size_t)plm_tensor_list_bytes(&list));
  assert_true(before[0] > 0 && before[params->items[0].shape[0]] == 3.0f);
  plm_optimiser_destroy(fresh);
  assert_ok(plm_optimiser_create(p.model, p.x, &options, &fresh));
  assert_ok(plm_optimiser_tensors(fresh, &adamw));
  assert_fails(plm_tensor_list_read(&adamw, path), PLM_E_INPUT,
               "lacks esm.embeddings.word_embeddings.weight.exp_avg, which this run trains");
  plm_free(before);
  plm_free(after);
  plm_tensor_list_free(&list);
  plm_tensor_list_free(&empty);
  plm_tensor_list_free(&adamw);
  plm_optimiser_destroy(fresh);
  plm_optimiser_destroy(trained);
  parity_close(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ten_steps_equal_pytorchs),
      cmocka_unit_test(bf16_copies_follow_their_masters),
      cmocka_unit_test(values_that_are_not_finite_are_counted),
      cmocka_unit_test(the_clip_is_of_the_mean),
      cmocka_unit_test(a_kind_with_other_states_trains_and_is_saved_by_name),
  };
  return cmocka_run_group_tests_name("optimiser", tests, scratch_setup, scratch_teardown);
}
