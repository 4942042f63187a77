/* The CPU layers keep what the op checker does not ask for: a plan made for N rows holds for every smaller batch, in
 * whatever sequences it comes, and a library's forgotten products come back. */
#include "support/unit.h"

#include "base/alloc.h"
#include "kernels/cpu/backend_cpu.h"
#include "kernels/ops.h"

enum { ROWS = 2500, OUT = 24, IN = 40, HEADS = 2, WIDTH = 8 };

static plm_device *device;
static plm_exec *exec;
static float *memory; /* zeros, enough for any operand below */
static plm_dtype type;

static int open_device(void **state) {
  (void)state;
  return plm_device_cpu_create(&device) != PLM_OK || PLM_NEW(&memory, ROWS * 64) != PLM_OK;
}

static int close_device(void **state) {
  (void)state;
  plm_free(memory);
  plm_device_destroy(device);
  return plm_alloc_live() == 0 ? 0 : 1;
}

static void run_linear(int64_t N) {
  plm_weight weight = {.data = memory, .dtype = type, .out = OUT, .in = IN};
  plm_linear_forward_args forward = {.N = N, .weight = &weight, .x = memory, .y = memory + ROWS * 40, .y_dtype = type};
  plm_linear_backward_input_args input = {
      .N = N,
      .weight = &weight,
      .d_y = memory,
      .d_x = memory + ROWS * 24,
      .d_x_dtype = PLM_F32,
  };
  plm_linear_backward_weight_args terms = {
      .N = N,
      .O = OUT,
      .I = IN,
      .dtype = type,
      .d_y = memory,
      .x = memory,
      .d_weight = memory + ROWS * 40,
  };
  assert_ok(exec->ops->linear_forward(exec, &forward));
  forward.row_invariant = true;
  assert_ok(exec->ops->linear_forward(exec, &forward));
  assert_ok(exec->ops->linear_backward_input(exec, &input));
  assert_ok(exec->ops->linear_backward_weight(exec, &terms));
}

/* N rows as sequences of `length` and a rest. */
static void run_attention(int32_t N, int32_t length) {
  static int32_t cu_seqlens[ROWS + 1];
  int64_t S = 0;
  for (int32_t n = 0; n < N; n = cu_seqlens[S]) cu_seqlens[++S] = n + length < N ? n + length : N;
  plm_attention_forward_args a = {.S = S, .H = HEADS, .D = WIDTH, .Nq = N, .Nk = N, .dtype = type, .scale = 0.5};
  a.cu_seqlens_q = a.cu_seqlens_k = a.host_cu_seqlens_q = a.host_cu_seqlens_k = cu_seqlens;
  a.q = a.k = a.v = memory;
  a.o = memory + ROWS * 16;
  a.lse = memory + ROWS * 32;
  plm_attention_backward_args b = {.forward = a, .d_o = memory};
  b.d_q = b.d_k = b.d_v = memory + ROWS * 34;
  assert_ok(exec->ops->attention_forward(exec, &a));
  assert_ok(exec->ops->attention_backward(exec, &b));
}

static void run_all(int32_t N) {
  run_linear(N);
  run_attention(N, N < 1 ? 1 : N);
}

/* From the highest level down: the library takes its instruction set from the first exec of a process. */
static void a_plan_holds_for_every_smaller_batch(void **state) {
  (void)state;
  static const int32_t sizes[] = {0, 1, 2, 63, 64, 65, 127, 129, 255, 256, 257, 511, 1024, 2047, 2048, 2049, ROWS};
  for (plm_cpu_level level = plm_cpu_level_detect(); level >= PLM_CPU_AVX2; level--) {
    for (int bf16 = 0; bf16 < 2; bf16++) {
      type = bf16 ? PLM_BF16 : PLM_F32;
      assert_ok(plm_exec_create_cpu(device, 2, plm_cpu_level_name(level), &exec));
      exec->dry = true;
      run_all(ROWS);
      exec->dry = false;
      assert_ok(plm_exec_reserve(exec, exec->workspace_needed));
      for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) run_all(sizes[i]);
      run_attention(ROWS, 1);
      run_attention(ROWS - 3, 100);
      plm_exec_destroy(exec);
    }
  }
}

/* More shapes than the product cache holds; each forward call wants several. */
static void forgotten_products_come_back(void **state) {
  (void)state;
  if (plm_cpu_level_detect() < PLM_CPU_AVX2) skip();
  float x[] = {1, 2, 3}, y[400], weights[400 * 3];
  for (int i = 0; i < 400 * 3; i++) weights[i] = (float)(i % 7);
  assert_ok(plm_exec_create_cpu(device, 1, NULL, &exec));
  assert_ok(plm_exec_reserve(exec, 64 << 20));
  for (int round = 0; round < 2; round++)
    for (int O = 1; O <= 400; O += round == 0 ? 1 : 57) {
      plm_weight weight = {.data = weights, .dtype = PLM_F32, .out = O, .in = 3};
      plm_linear_forward_args args = {.N = 1, .weight = &weight, .x = x, .y = y, .y_dtype = PLM_F32};
      assert_ok(exec->ops->linear_forward(exec, &args));
      for (int o = 0; o < O; o++) assert_true(y[o] == weights[3 * o] + 2 * weights[3 * o + 1] + 3 * weights[3 * o + 2]);
    }
  plm_exec_destroy(exec);
}

#define ASSERT_ENTRY(op)                   \
  assert_non_null(plm_ops_cpu(level)->op); \
  assert_string_not_equal(plm_ops_cpu_origin(level, #op), "unknown operator");

static void every_level_has_every_operator(void **state) {
  (void)state;
  for (plm_cpu_level level = PLM_CPU_REF; level <= PLM_CPU_AMX; level++) {
    PLM_OPS(ASSERT_ENTRY)
  }
  assert_string_equal(plm_ops_cpu_origin(PLM_CPU_REF, "linear_forward"), "ref");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_plan_holds_for_every_smaller_batch),
      cmocka_unit_test(forgotten_products_come_back),
      cmocka_unit_test(every_level_has_every_operator),
  };
  return cmocka_run_group_tests(tests, open_device, close_device);
}
