/* Creating a model: the memory it takes is the memory it planned, and a seed means the same numbers for ever. */
#include "support/unit.h"

#include <math.h>

#include "base/alloc.h"
#include "kernels/cpu/backend_cpu.h"
#include "model/activations.h"
#include "model/model.h"
#include "train/optimiser.h"

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
  const plm_model_options cases[] = {
      {.dtype = PLM_F32,
       .training = true,
       .max_tokens = 200,
       .max_length = 50,
       .optimiser = plm_optimiser_planned(NULL)},
      {.dtype = PLM_BF16,
       .training = true,
       .max_tokens = 200,
       .max_length = 300,
       .all_rows = true,
       .optimiser = plm_optimiser_planned(NULL)},
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
      assert_int_equal(plan.total,
                       plan.parameters + plan.gradients + plan.optimizer + plan.activations + plan.workspace);
      assert_ok(plm_model_create(&config, &cases[i], exec, &model));
      assert_ok(plm_model_initialise(model, 1));
      assert_ok(plm_model_refresh(model, exec, PLM_REFRESH_ALL));
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
  plm_model_options options = {.dtype = PLM_F32,
                               .training = true,
                               .max_tokens = 4096,
                               .max_length = 1024,
                               .optimiser = plm_optimiser_planned(NULL)};
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
    if (status == PLM_OK)
      plm_model_destroy(model);
    else
      assert_int_equal(status, PLM_E_RESOURCE);
    assert_int_equal(plm_alloc_live(), live);
  }
}

static void sizes_beyond_all_memory_are_an_error(void **state) {
  (void)state;
  plm_model_config c = tiny_config();
  c.hidden_size = c.head_width = 1 << 20;
  c.num_attention_heads = 1;
  c.intermediate_size = 1 << 24;
  c.num_hidden_layers = 1000;
  plm_memory_plan plan;
  plm_model *model;
  const plm_model_options options = {.dtype = PLM_BF16, .training = true, .max_tokens = 16, .max_length = 16};
  assert_int_equal(plm_model_create(&c, &options, x, &model), PLM_E_RESOURCE);
  assert_fails(plm_model_plan(&c, &(plm_model_options){.max_tokens = 0, .max_length = 1}, x, &plan), PLM_E_USAGE,
               "0 tokens");
  assert_fails(plm_model_plan(&c, &(plm_model_options){.max_tokens = 1, .max_length = INT64_MAX}, x, &plan),
               PLM_E_USAGE, "sequences of");

  plm_stack stack = {.base = (char *)&plan, .size = SIZE_MAX};
  void *pointer;
  assert_ok(plm_stack_take(&stack, 3, PLM_BF16, &pointer));
  assert_int_equal(stack.top, 256);
  assert_fails(plm_stack_take(&stack, INT64_MAX / 2, PLM_F32, &pointer), PLM_E_RESOURCE, "addressed");
  assert_fails(plm_stack_take(&stack, INT64_MAX, PLM_BF16, &pointer), PLM_E_RESOURCE, "addressed");
  assert_fails(plm_stack_take(&stack, INT64_MAX / 4 - 64, PLM_F32, &pointer), PLM_E_RESOURCE, "addressed");
  stack.size = 256;
  assert_fails(plm_stack_take(&stack, 1, PLM_F32, &pointer), PLM_E_BUG, "reserved");
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
    if (p->role == PLM_ROLE_BIAS || p->role == PLM_ROLE_NORM_BIAS || p->role == PLM_ROLE_CONTACT)
      assert_true(squares == 0);
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
  for (int i = 0; i < 4; i++) assert_true(fabsf(first[i] - golden[i]) <= 1e-8f);
  plm_model_destroy(model);
  plm_exec_destroy(one_thread);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_plan_is_what_is_taken),
      cmocka_unit_test(plans_cost_nothing_and_stay_modest),
      cmocka_unit_test(sizes_beyond_all_memory_are_an_error),
      cmocka_unit_test(failed_allocations_leave_nothing_behind),
      cmocka_unit_test(initial_values_have_the_promised_statistics),
      cmocka_unit_test(initial_values_are_a_function_of_seed_and_name),
  };
  return cmocka_run_group_tests(tests, open_machine, close_machine);
}
