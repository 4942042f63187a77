/* Backends are found by name and opened with a device of their own; a program may add one; "auto"
 * takes built-in ones. */
#include "support/unit.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "kernels/backend.h"
#include "kernels/cpu/backend_cpu.h"

static plm_status probe_failing(void) { return plm_fail(PLM_E_RESOURCE, "nobody is at home"); }

static void describe_made_up(char ret_words[PLM_BACKEND_WORDS]) { strcpy(ret_words, "abacus"); }

/* Leaves behind a device, and a context that `close` must see. */
static plm_status open_failing(const plm_exec_options *options, plm_exec *exec) {
  PLM_TRY(plm_device_cpu_create(&exec->device));
  exec->owns_device = true;
  exec->context = (void *)(uintptr_t)options->threads;
  return plm_fail(PLM_E_RESOURCE, "nobody is at home");
}

static intptr_t closed;
static void close_made_up(plm_exec *exec) { closed = (intptr_t)exec->context; }

static const char *origin_made_up(const plm_exec *exec, const char *op) {
  (void)exec, (void)op;
  return "abacus";
}

static const plm_backend made_up = {
    .name = "abacus",
    .probe = probe_failing,
    .describe = describe_made_up,
    .open = open_failing,
    .close = close_made_up,
    .origin = origin_made_up,
};

static void backends_are_found_by_name_once_registered(void **state) {
  (void)state;
  plm_backend same_name = made_up, automatic = made_up;
  automatic.name = "auto";
  assert_ptr_equal(plm_backend_at(0), &plm_backend_cpu);
  assert_null(plm_backend_at(1));
  assert_null(plm_backend_find("abacus"));
  assert_ok(plm_backend_register(&made_up));
  assert_ptr_equal(plm_backend_find("abacus"), &made_up);
  assert_ptr_equal(plm_backend_at(1), &made_up);
  assert_null(plm_backend_at(2));
  assert_fails(plm_backend_register(&same_name), PLM_E_BUG, "there is a backend 'abacus' already");
  assert_fails(plm_backend_register(&automatic), PLM_E_BUG, "there is a backend 'auto' already");
  assert_null(plm_backend_at(2));
}

static void an_exec_comes_with_a_device(void **state) {
  (void)state;
  static const char *const names[] = {"cpu", "auto", NULL};
  int64_t live = plm_alloc_live();
  char found[PLM_BACKEND_WORDS];
  plm_backend_cpu.describe(found);
  assert_string_equal(found, plm_cpu_level_name(plm_cpu_level_detect()));
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    plm_exec *x;
    char products[32];
    assert_ok(plm_exec_open(&(plm_exec_options){.device = names[i], .threads = 2}, &x));
    assert_ptr_equal(x->backend, &plm_backend_cpu);
    assert_true(x->owns_device && x->device->is_host);
    assert_int_equal(plm_pool_threads(x->pool), 2);
    assert_string_equal(x->kernels, found);
    plm_cpu_products_name(products);
    assert_string_equal(x->products, products);
    assert_true(x->usual_micro_batch > 0 && x->plan_share > 0 && x->plan_share < 1);
    assert_string_equal(x->backend->origin(x, "linear_forward"),
                        plm_ops_cpu_origin(plm_cpu_level_detect(), "linear_forward"));
    assert_ok(plm_exec_reserve(x, 100));
    plm_exec_destroy(x);
    assert_int_equal(plm_alloc_live(), live);
  }
}

static void an_unknown_device_is_refused_with_the_names(void **state) {
  (void)state;
  plm_exec *x = NULL;
  assert_fails(plm_exec_open(&(plm_exec_options){.device = "gpu", .threads = 1}, &x), PLM_E_USAGE,
               "there is no device 'gpu'");
  assert_string_equal(plm_error_hint(), "this program knows auto, cpu, abacus");
  assert_null(x);
}

static void what_a_backend_leaves_behind_is_taken_away(void **state) {
  (void)state;
  plm_exec *x = NULL;
  int64_t live = plm_alloc_live();
  assert_fails(plm_exec_open(&(plm_exec_options){.device = "abacus", .threads = 3}, &x), PLM_E_RESOURCE, "at home");
  assert_int_equal(closed, 3);
  assert_null(x);
  assert_int_equal(plm_alloc_live(), live);
}

static const char *kernels_of(const char *level) {
  static char kernels[16];
  plm_exec *x;
  assert_ok(plm_exec_open(&(plm_exec_options){.threads = 1, .level_mask = level}, &x));
  strcpy(kernels, x->kernels);
  plm_exec_destroy(x);
  return kernels;
}

static void the_environment_goes_before_the_level_of_a_run(void **state) {
  (void)state;
  plm_exec *none = NULL;
  const char *best = plm_cpu_level_name(plm_cpu_level_detect());
  assert_string_equal(kernels_of("ref"), "ref");
  setenv("PROTLM_CPU", "ref", 1);
  assert_string_equal(kernels_of("amx"), "ref");
  setenv("PROTLM_CPU", "amx", 1);
  assert_string_equal(kernels_of("ref"), best);
  setenv("PROTLM_CPU", "", 1);
  assert_string_equal(kernels_of("ref"), "ref");
  unsetenv("PROTLM_CPU");
  assert_string_equal(kernels_of(NULL), best);
  assert_fails(plm_exec_open(&(plm_exec_options){.threads = 1, .level_mask = "sse9"}, &none), PLM_E_USAGE, "sse9");
}

static void failed_allocations_are_reported_and_leak_nothing(void **state) {
  (void)state;
  int64_t live = plm_alloc_live();
  for (int64_t n = 1;; n++) {
    plm_exec *x = NULL;
    plm_alloc_fail_at(n);
    plm_status status = plm_exec_open(&(plm_exec_options){.threads = 2}, &x);
    plm_alloc_fail_at(0);
    plm_exec_destroy(x);
    assert_int_equal(plm_alloc_live(), live);
    if (status == PLM_OK) break;
    assert_int_equal(status, PLM_E_RESOURCE);
    assert_true(n < 20);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(backends_are_found_by_name_once_registered),
      cmocka_unit_test(an_exec_comes_with_a_device),
      cmocka_unit_test(an_unknown_device_is_refused_with_the_names),
      cmocka_unit_test(what_a_backend_leaves_behind_is_taken_away),
      cmocka_unit_test(the_environment_goes_before_the_level_of_a_run),
      cmocka_unit_test(failed_allocations_are_reported_and_leak_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
