/* An exec plans its workspace by dry calls, refuses what was not planned, masks levels by name, and leaks nothing. */
#include "support/unit.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "kernels/cpu/backend_cpu.h"

static plm_device *device;
static plm_exec *exec;

static int open_exec(void **state) {
  (void)state;
  return plm_device_cpu_create(&device) != PLM_OK || plm_exec_create_cpu(device, 2, "ref", &exec) != PLM_OK;
}

static int close_exec(void **state) {
  (void)state;
  plm_exec_destroy(exec);
  plm_device_destroy(device);
  exec = NULL;
  return plm_alloc_live() == 0 ? 0 : 1;
}

/* y = W x with W = [[1, 2], [3, 4]] on the row (10, 20). */
static plm_status multiply(float y[2]) {
  static const float matrix[] = {1, 2, 3, 4}, x[] = {10, 20};
  plm_weight weight = {.data = matrix, .dtype = PLM_F32, .out = 2, .in = 2};
  plm_linear_forward_args args = {.N = 1, .weight = &weight, .x = x, .y = y, .y_dtype = PLM_F32};
  return exec->ops->linear_forward(exec, &args);
}

static void a_plan_is_the_code_run_dry(void **state) {
  (void)state;
  float y[2] = {-1, -1};
  exec->dry = true;
  assert_ok(multiply(y));
  assert_true(y[0] == -1 && y[1] == -1);
  assert_true(exec->workspace_needed > 0);
  assert_true(exec->flops == 2.0 * 1 * 2 * 2);

  exec->dry = false;
  assert_ok(plm_exec_reserve(exec, exec->workspace_needed));
  assert_ok(multiply(y));
  assert_true(y[0] == 50 && y[1] == 110);
  assert_true(exec->flops == 2 * 8.0);
}

static void unplanned_workspace_is_our_bug(void **state) {
  (void)state;
  float y[2];
  assert_fails(multiply(y), PLM_E_BUG, "the plan reserved 0");
}

static void reserving_less_keeps_what_there_is(void **state) {
  (void)state;
  assert_ok(plm_exec_reserve(exec, 1000));
  void *before = exec->workspace;
  assert_ok(plm_exec_reserve(exec, 10));
  assert_ptr_equal(exec->workspace, before);
  assert_int_equal(exec->workspace_bytes, 1000);
  assert_ok(plm_exec_reserve(exec, 2000));
  assert_int_equal(device->bytes_in_use, 2000);
}

/* Run by hand, so that the failing allocation may be any of those that creation and reservation make. */
static void failed_allocations_are_reported_and_leak_nothing(void **state) {
  (void)state;
  int64_t live = plm_alloc_live();
  plm_device *memory;
  assert_ok(plm_device_cpu_create(&memory));
  for (int64_t n = 1;; n++) {
    plm_exec *attempt = NULL;
    plm_alloc_fail_at(n);
    plm_status status = plm_exec_create_cpu(memory, 3, "ref", &attempt);
    if (status == PLM_OK) status = plm_exec_reserve(attempt, 100);
    plm_alloc_fail_at(0);
    plm_exec_destroy(attempt);
    assert_int_equal(memory->bytes_in_use, 0);
    if (status == PLM_OK) break;
    assert_int_equal(status, PLM_E_RESOURCE);
    assert_true(n < 20);
  }
  plm_device_destroy(memory);
  assert_int_equal(plm_alloc_live(), live);
}

/* What the exec says that it computes with, as a level. */
static plm_cpu_level level_of(const plm_exec *x) {
  int level = PLM_CPU_AMX;
  while (level > PLM_CPU_REF && strcmp(x->kernels, plm_cpu_level_name((plm_cpu_level)level)) != 0) level--;
  assert_string_equal(x->kernels, plm_cpu_level_name((plm_cpu_level)level));
  assert_int_equal(x->computes_bf16, level >= PLM_CPU_AVX512_BF16);
  return (plm_cpu_level)level;
}

static plm_cpu_level level_under(const char *mask) {
  plm_exec *masked;
  assert_ok(plm_exec_create_cpu(device, 1, mask, &masked));
  plm_cpu_level level = level_of(masked);
  plm_exec_destroy(masked);
  return level;
}

static void a_mask_lowers_the_level_and_never_raises_it(void **state) {
  (void)state;
  plm_cpu_level best = plm_cpu_level_detect();
  assert_int_equal(level_under("ref"), PLM_CPU_REF);
  assert_int_equal(level_under("avx2"), best < PLM_CPU_AVX2 ? best : PLM_CPU_AVX2);
  assert_int_equal(level_under("amx"), best);
}

static void the_environment_masks_unless_the_caller_does(void **state) {
  (void)state;
  setenv("PROTLM_CPU", "ref", 1);
  assert_int_equal(level_under(NULL), PLM_CPU_REF);
  assert_int_equal(level_under("amx"), plm_cpu_level_detect());
  setenv("PROTLM_CPU", "", 1);
  assert_int_equal(level_under(NULL), plm_cpu_level_detect());
  unsetenv("PROTLM_CPU");
  assert_int_equal(level_under(NULL), plm_cpu_level_detect());
}

static void an_unknown_level_is_refused_with_the_names(void **state) {
  (void)state;
  plm_exec *none = NULL;
  assert_fails(plm_exec_create_cpu(device, 1, "sse9", &none), PLM_E_USAGE, "sse9");
  for (int level = PLM_CPU_REF; level <= PLM_CPU_AMX; level++)
    assert_non_null(strstr(plm_error_hint(), plm_cpu_level_name((plm_cpu_level)level)));
  assert_null(none);
}

static void tables_have_no_holes(void **state) {
  (void)state;
#define ASSERT_ENTRY(op) assert_true(table->op != NULL);
  for (int level = PLM_CPU_REF; level <= (int)plm_cpu_level_detect(); level++) {
    const plm_ops *table = plm_ops_cpu((plm_cpu_level)level);
    PLM_OPS(ASSERT_ENTRY)
  }
}

#define WITH_EXEC(test) cmocka_unit_test_setup_teardown(test, open_exec, close_exec)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_EXEC(a_plan_is_the_code_run_dry),
      WITH_EXEC(unplanned_workspace_is_our_bug),
      WITH_EXEC(reserving_less_keeps_what_there_is),
      cmocka_unit_test(failed_allocations_are_reported_and_leak_nothing),
      WITH_EXEC(a_mask_lowers_the_level_and_never_raises_it),
      WITH_EXEC(the_environment_masks_unless_the_caller_does),
      WITH_EXEC(an_unknown_level_is_refused_with_the_names),
      cmocka_unit_test(tables_have_no_holes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
