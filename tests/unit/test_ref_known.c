/* The reference is what everything else is held against, so it is itself held against numbers worked out by hand. */
#include "support/unit.h"

#include <math.h>

#include "kernels/cpu/backend_cpu.h"
#include "kernels/ops.h"

static plm_device *device;
static plm_exec *exec;

static int open_exec(void **state) {
  (void)state;
  if (plm_device_cpu_create(&device) != PLM_OK || plm_exec_create_cpu(device, 2, "ref", &exec) != PLM_OK) return 1;
  return plm_exec_reserve(exec, 1 << 14) != PLM_OK;
}

static int close_exec(void **state) {
  (void)state;
  plm_exec_destroy(exec);
  plm_device_destroy(device);
  return 0;
}

static void assert_near(const double *got, const double *want, int n) {
  for (int i = 0; i < n; i++)
    if (!(fabs(got[i] - want[i]) <= 1e-12)) fail_msg("element %d is %.15g, not %.15g", i, got[i], want[i]);
}

/* Mean 2 and variance 2/3 of (1, 2, 3). */
static void norm_has_biased_variance(void **state) {
  (void)state;
  const double x[] = {1, 2, 3}, weight[] = {1, 2, 1}, bias[] = {0, 5, 1}, r = sqrt(1.5);
  double y[3], mean, rstd;
  plm_norm_forward_args a = {
      .N = 1,
      .C = 3,
      .x = x,
      .x_dtype = PLM_F64,
      .weight = weight,
      .bias = bias,
      .y = y,
      .y_dtype = PLM_F64,
      .mean = &mean,
      .rstd = &rstd,
  };
  assert_ok(exec->ops->norm_forward(exec, &a));
  assert_near(y, (const double[]){-r, 5, r + 1}, 3);
  assert_near(&mean, (const double[]){2}, 1);
  assert_near(&rstd, &r, 1);
}

static void linear_multiplies_by_the_transpose(void **state) {
  (void)state;
  const double matrix[] = {1, 2, 3, 4, 5, 6}, x[] = {1, 10, 100, 0, 0, 1}, bias[] = {0.5, -1};
  double y[] = {1000, 2000, 3000, 4000};
  plm_weight weight = {.data = matrix, .dtype = PLM_F64, .out = 2, .in = 3};
  plm_linear_forward_args a = {.N = 2, .weight = &weight, .bias = bias, .x = x, .add = y, .y = y, .y_dtype = PLM_F64};
  assert_ok(exec->ops->linear_forward(exec, &a));
  assert_near(y, (const double[]){1321.5, 2653, 3003.5, 4005}, 4);
}

/* A quarter turn takes pair (j, j + D/2) = (1, 2) to (-2, 1). */
static void rope_turns_half_split_pairs(void **state) {
  (void)state;
  const float cosine[] = {1, 1, 0, 1}, sine[] = {0, 0, 1, 0}; /* position 1 turns the first pair only */
  const int32_t positions[] = {1};
  double x[] = {1, 7, 2, 8};
  plm_rope_args a = {
      .N = 1,
      .H = 1,
      .D = 4,
      .x = x,
      .dtype = PLM_F64,
      .positions = positions,
      .cos_table = cosine,
      .sin_table = sine,
  };
  assert_ok(exec->ops->rope(exec, &a));
  assert_near(x, (const double[]){-2, 7, 1, 8}, 4);
}

/* Two sequences; scores 0 and ln 3 weigh the values 1 : 3, and the second sequence sees its own value only. */
static void attention_weighs_values_of_its_own_sequence(void **state) {
  (void)state;
  const double q[] = {1, 0, 1}, k[] = {0, log(3) / 2, 5}, v[] = {4, 8, 100};
  const int32_t cu_seqlens[] = {0, 2, 3};
  double o[3], lse[3];
  plm_attention_forward_args a = {
      .S = 2,
      .H = 1,
      .D = 1,
      .Nq = 3,
      .Nk = 3,
      .cu_seqlens_q = cu_seqlens,
      .cu_seqlens_k = cu_seqlens,
      .host_cu_seqlens_q = cu_seqlens,
      .host_cu_seqlens_k = cu_seqlens,
      .q = q,
      .k = k,
      .v = v,
      .dtype = PLM_F64,
      .scale = 2,
      .o = o,
      .lse = lse,
  };
  assert_ok(exec->ops->attention_forward(exec, &a));
  assert_near(o, (const double[]){7, 6, 100}, 3);
  assert_near(lse, (const double[]){log(4), log(2), 10}, 3);
}

static void gelu_is_the_one_with_erf(void **state) {
  (void)state;
  const double x[] = {0, 1, -1};
  double y[3];
  plm_activation_forward_args a = {.n = 3, .kind = PLM_GELU_ERF, .dtype = PLM_F64, .x = x, .y = y};
  assert_ok(exec->ops->activation_forward(exec, &a));
  assert_near(y, (const double[]){0, 0.841344746068542949, -0.158655253931457051}, 3); /* tanh would give 0.84119 */
}

/* Probabilities 1/4 and 3/4: the losses are ln 4 and ln 4/3, summed and not averaged. */
static void cross_entropy_is_of_the_sum(void **state) {
  (void)state;
  const double logits[] = {0, log(3), 0, log(3)};
  const int32_t targets[] = {0, 1};
  double d_logits[4];
  plm_loss_sums sums = {.nll = 1, .count = 10};
  plm_cross_entropy_args a = {
      .M = 2,
      .V = 2,
      .logits = logits,
      .dtype = PLM_F64,
      .targets = targets,
      .sums = &sums,
      .d_logits = d_logits,
      .d_dtype = PLM_F64,
  };
  assert_ok(exec->ops->cross_entropy(exec, &a));
  assert_near(&sums.nll, (const double[]){1 + log(4) + log(4.0 / 3)}, 1);
  assert_near(d_logits, (const double[]){-0.75, 0.75, 0.25, -0.25}, 4);
  assert_int_equal(sums.count, 12);
  assert_int_equal(sums.correct, 1);
}

/* The first step of Adam is lr in the gradient's direction, after the decay of w. */
static void adamw_takes_a_first_step_of_lr(void **state) {
  (void)state;
  float w[] = {2, 2}, m[] = {0, 0}, v[] = {0, 0};
  const float grad[] = {8, -0.5f};
  plm_adamw_args a = {
      .n = 2,
      .w = w,
      .grad = grad,
      .m = m,
      .v = v,
      .lr = 0.125,
      .beta1 = 0.9,
      .beta2 = 0.98,
      .decay = 0.5,
      .bias1 = 1 - 0.9,
      .bias2 = 1 - 0.98,
      .grad_scale = 1,
  };
  assert_ok(exec->ops->adamw(exec, &a));
  assert_true(fabsf(w[0] - 1.75f) < 1e-6f); /* 2 (1 - 1/16) - 1/8 */
  assert_true(fabsf(w[1] - 2.00f) < 1e-6f);
}

/* Two calls from 0 leave twice what one leaves. */
static void parameter_gradients_are_added_to(void **state) {
  (void)state;
  const double x[] = {1, 3}, d_y[] = {2, 5}, ones[] = {1, 1}, mean[] = {2}, rstd[] = {1};
  const int32_t tokens[] = {0};
  double d_x[2], d_weight[2] = {0}, d_bias[2] = {0}, d_matrix[4] = {0}, d_vector[2] = {0}, d_table[2] = {0};
  plm_norm_backward_args norm = {
      .N = 1,
      .C = 2,
      .d_y = d_y,
      .d_y_dtype = PLM_F64,
      .x = x,
      .x_dtype = PLM_F64,
      .weight = ones,
      .mean = mean,
      .rstd = rstd,
      .d_x = d_x,
      .d_x_dtype = PLM_F64,
      .d_weight = d_weight,
      .d_bias = d_bias,
  };
  plm_linear_backward_weight_args linear = {
      .N = 1,
      .O = 2,
      .I = 2,
      .dtype = PLM_F64,
      .d_y = d_y,
      .x = x,
      .d_weight = d_matrix,
      .d_bias = d_vector,
  };
  plm_embed_backward_args embed = {
      .N = 1,
      .C = 2,
      .V = 1,
      .tokens = tokens,
      .d_out = d_y,
      .dtype = PLM_F64,
      .d_table = d_table,
  };
  for (int call = 0; call < 2; call++) {
    assert_ok(exec->ops->norm_backward(exec, &norm));
    assert_ok(exec->ops->linear_backward_weight(exec, &linear));
    assert_ok(exec->ops->embed_backward(exec, &embed));
  }
  assert_near(d_weight, (const double[]){-4, 10}, 2);
  assert_near(d_bias, (const double[]){4, 10}, 2);
  assert_near(d_matrix, (const double[]){4, 12, 10, 30}, 4);
  assert_near(d_vector, (const double[]){4, 10}, 2);
  assert_near(d_table, (const double[]){4, 10}, 2);
}

#define WITH_EXEC(test) cmocka_unit_test_setup_teardown(test, open_exec, close_exec)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_EXEC(norm_has_biased_variance),       WITH_EXEC(linear_multiplies_by_the_transpose),
      WITH_EXEC(rope_turns_half_split_pairs),    WITH_EXEC(attention_weighs_values_of_its_own_sequence),
      WITH_EXEC(gelu_is_the_one_with_erf),       WITH_EXEC(cross_entropy_is_of_the_sum),
      WITH_EXEC(adamw_takes_a_first_step_of_lr), WITH_EXEC(parameter_gradients_are_added_to),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
