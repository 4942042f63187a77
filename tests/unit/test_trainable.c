/* What trains is a list of patterns: whatever does not keeps its values, its neighbours' gradients are as they were,
 * and it is stored once. */
#include "support/unit.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "support/model.h"
#include "support/parity.h"
#include "train/optimiser.h"

static const plm_optimiser_options adamw = {
    .beta1 = 0.9,
    .beta2 = 0.98,
    .epsilon = 1e-8,
    .weight_decay = 0.01,
    .max_grad_norm = 1,
};

/* The model of a parity case once more, with patterns and the same weights. */
static plm_model *copy_model(const parity *p, plm_dtype dtype, const plm_train_pattern *patterns, int count) {
  const plm_model_options options = {
      .dtype = dtype,
      .training = true,
      .patterns = patterns,
      .pattern_count = count,
      .max_tokens = p->batch.encoder.N,
      .max_length = p->batch.encoder.max_length,
  };
  const plm_params *params = plm_model_get_params(p->model);
  plm_model *model;
  assert_ok(plm_model_create(plm_model_get_config(p->model), &options, p->x, &model));
  for (int i = 0; i < params->count; i++) {
    float *values;
    assert_ok(PLM_NEW(&values, params->items[i].count));
    assert_ok(plm_model_get(p->model, i, values));
    assert_ok(plm_model_set(model, i, values));
    plm_free(values);
  }
  assert_ok(plm_model_refresh(model, p->x, PLM_REFRESH_ALL));
  return model;
}

static float *get(const plm_model *model, int index, plm_status (*read)(const plm_model *, int, float *)) {
  float *values;
  assert_ok(PLM_NEW(&values, plm_model_get_params(model)->items[index].count));
  assert_ok(read(model, index, values));
  return values;
}

static void pass(plm_model *model, const parity *p) {
  assert_ok(plm_model_zero_gradient(model, p->x));
  assert_ok(plm_model_reset_sums(model, p->x));
  assert_ok(plm_model_forward_backward(model, p->x, &p->batch, NULL));
}

/* Every gradient that there is equals that of the model in which all trains, as far as sums in another order allow. */
static void check_gradients(const plm_model *some, const plm_model *all) {
  const plm_params *params = plm_model_get_params(some);
  for (int i = 0; i < params->count; i++) {
    const plm_param *param = &params->items[i];
    if (param->train_offset < 0) continue;
    float *got = get(some, i, plm_model_get_gradient), *expected = get(all, i, plm_model_get_gradient);
    double error = parity_distance(got, expected, param->count), norm = parity_norm(expected, param->count);
    if (!(error <= 1e-5 * norm + 1e-9)) fail_msg("gradient of %s: off by %g of %g", param->name, error, norm);
    plm_free(got);
    plm_free(expected);
  }
}

/* After an update what trains has moved, and nothing else; bf16 copies follow. */
static void check_update(plm_model *model, const parity *p) {
  const plm_params *params = plm_model_get_params(model);
  plm_optimiser *optimiser;
  float **before;
  assert_ok(PLM_NEW(&before, params->count));
  for (int i = 0; i < params->count; i++) before[i] = get(model, i, plm_model_get);
  assert_ok(plm_optimiser_create(model, p->x, &adamw, &optimiser));
  assert_ok(plm_optimiser_update(optimiser, p->x, 1, 1e-2, 0.01));
  assert_ok(plm_model_refresh(model, p->x, PLM_REFRESH_UPDATED));
  for (int i = 0; i < params->count; i++) {
    const plm_param *param = &params->items[i];
    float *after = get(model, i, plm_model_get);
    const bool same = memcmp(before[i], after, (size_t)param->count * sizeof *after) == 0;
    if (same != (param->train_offset < 0)) fail_msg("%s has %smoved", param->name, same ? "not " : "");
    plm_free(after);
    plm_free(before[i]);
  }
  plm_free(before);
  plm_optimiser_destroy(optimiser);
}

static void check_storage(const plm_model *model, plm_dtype dtype) {
  const plm_params *params = plm_model_get_params(model);
  for (int i = 0; i < params->count; i++) {
    const plm_param *param = &params->items[i];
    const bool frozen_matrix = param->role == PLM_ROLE_MATRIX && param->train_offset < 0;
    assert_int_equal(param->offset < 0, dtype == PLM_BF16 && frozen_matrix);
  }
}

static void check_patterns(const char *name, plm_dtype dtype, const plm_train_pattern *patterns, int count) {
  parity p;
  parity_open(name, false, NULL, dtype, &p);
  plm_model *some = copy_model(&p, dtype, patterns, count), *all = copy_model(&p, dtype, NULL, 0);
  pass(some, &p);
  pass(all, &p);
  check_storage(some, dtype);
  check_gradients(some, all);
  check_update(some, &p);
  plm_model_destroy(some);
  plm_model_destroy(all);
  parity_close(&p);
}

static void a_frozen_layer_stays_and_the_others_do_not_notice(void **state) {
  (void)state;
  static const plm_train_pattern first[] = {{"esm.encoder.layer.0.*", false}};
  static const plm_train_pattern last[] = {{"esm.encoder.layer.2.*", false}};
  static const plm_train_pattern embedding[] = {{"esm.embeddings.*", false}};
  static const plm_dtype types[] = {PLM_F32, PLM_BF16};
  for (int t = 0; t < 2; t++) {
    check_patterns("d8", types[t], first, 1);
    check_patterns("d8", types[t], last, 1);
    check_patterns("d8", types[t], embedding, 1);
  }
}

/* A group whose members train apart is viewed apart: nobody's gradient is written over a neighbour's. */
static void query_key_and_value_train_alone_and_in_pairs(void **state) {
  (void)state;
  static const char *const members[] = {"query", "key", "value"};
  for (int set = 1; set < 7; set++) {
    char names[3][64];
    plm_train_pattern patterns[4] = {{"*", false}};
    int count = 1;
    for (int i = 0; i < 3; i++) {
      if (!(set >> i & 1)) continue;
      snprintf(names[i], sizeof names[i], "*.attention.self.%s.*", members[i]);
      patterns[count++] = (plm_train_pattern){names[i], true};
    }
    check_patterns("d8", PLM_F32, patterns, count);
    check_patterns("d8", PLM_BF16, patterns, count);
  }
}

static void weights_may_train_without_biases_and_biases_alone(void **state) {
  (void)state;
  static const plm_train_pattern without[] = {{"*.bias", false}};
  static const plm_train_pattern alone[] = {{"*", false}, {"*.bias", true}};
  check_patterns("d8", PLM_F32, without, 1);
  check_patterns("d8", PLM_F32, alone, 2);
  check_patterns("d8", PLM_BF16, alone, 2);
}

static void the_last_pattern_that_matches_decides(void **state) {
  (void)state;
  static const plm_train_pattern patterns[] = {
      {"*", false},
      {"esm.encoder.layer.*", true},
      {"*.LayerNorm.*", false},
  };
  const plm_params_options options = {.dtype = PLM_F32, .training = true, .patterns = patterns, .pattern_count = 3};
  plm_model_config config;
  plm_params *params;
  assert_ok(plm_model_config_preset("esm2_t6_8M", &config));
  assert_ok(plm_params_create(&config, &options, &params));
  assert_true(plm_params_find(params, "esm.encoder.layer.3.output.dense.weight")->train_offset >= 0);
  assert_true(plm_params_find(params, "esm.encoder.layer.3.attention.LayerNorm.weight")->train_offset < 0);
  assert_true(plm_params_find(params, "lm_head.dense.weight")->train_offset < 0);
  assert_int_equal(params->buckets[0].count, 0);
  assert_true(params->buckets[4].count > 0);
  plm_params_destroy(params);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_frozen_layer_stays_and_the_others_do_not_notice),
      cmocka_unit_test(query_key_and_value_train_alone_and_in_pairs),
      cmocka_unit_test(weights_may_train_without_biases_and_biases_alone),
      cmocka_unit_test(the_last_pattern_that_matches_decides),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
