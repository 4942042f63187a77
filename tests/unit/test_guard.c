/* Non-finite steps are left out and counted, spikes are seen, and no NaN passes. */
#include "support/unit.h"

#include <math.h>

#include "train/guard.h"

static void fill(plm_guard *guard) {
  for (int i = 0; i < PLM_GUARD_WINDOW; i++)
    assert_int_equal(plm_guard_judge(guard, 2.5 + 0.1 * sin(i), 1, 0, NULL), PLM_GUARD_APPLY);
}

static void nothing_nonfinite_is_applied(void **state) {
  (void)state;
  const struct {
    double loss, norm;
    int64_t nonfinite;
  } bad[] = {{NAN, 1, 0}, {INFINITY, 1, 0}, {-INFINITY, 1, 0}, {1, NAN, 0}, {1, INFINITY, 0}, {1, 1, 1}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    plm_guard guard = {.limit = 2};
    fill(&guard);
    assert_int_equal(plm_guard_judge(&guard, bad[i].loss, bad[i].norm, bad[i].nonfinite, NULL), PLM_GUARD_SKIP);
    assert_int_equal(guard.skipped, 1);
    assert_int_equal(guard.seen, PLM_GUARD_WINDOW);
    assert_int_equal(plm_guard_judge(&guard, bad[i].loss, bad[i].norm, bad[i].nonfinite, NULL), PLM_GUARD_STOP);
  }
}

static void only_steps_in_a_row_stop_a_run(void **state) {
  (void)state;
  plm_guard guard = {.limit = 3};
  for (int round = 0; round < 4; round++) {
    assert_int_equal(plm_guard_judge(&guard, NAN, 1, 0, NULL), PLM_GUARD_SKIP);
    assert_int_equal(plm_guard_judge(&guard, NAN, 1, 0, NULL), PLM_GUARD_SKIP);
    assert_int_equal(plm_guard_judge(&guard, 2, 1, 0, NULL), PLM_GUARD_APPLY);
  }
  assert_int_equal(guard.skipped, 8);
}

static void a_spike_is_reported_and_skipped_when_asked(void **state) {
  (void)state;
  for (int skip = 0; skip <= 1; skip++) {
    plm_guard guard = {.limit = 5, .skip_spikes = skip == 1};
    double z;
    fill(&guard);
    assert_int_equal(plm_guard_judge(&guard, 4, 1, 0, &z), skip == 1 ? PLM_GUARD_SKIP : PLM_GUARD_APPLY);
    assert_true(z > PLM_GUARD_SPIKE);
    assert_int_equal(guard.spikes, 1);
    assert_int_equal(guard.skipped, skip);
    assert_int_equal(guard.nonfinite_in_a_row, 0);
  }
}

static void a_short_or_flat_history_knows_no_spikes(void **state) {
  (void)state;
  plm_guard guard = {.limit = 5, .skip_spikes = true};
  double z;
  for (int i = 0; i < PLM_GUARD_WINDOW; i++)
    assert_int_equal(plm_guard_judge(&guard, i == 0 ? 900 : 2, 1, 0, &z), PLM_GUARD_APPLY);
  plm_guard flat = {.limit = 5, .skip_spikes = true};
  for (int i = 0; i < 2 * PLM_GUARD_WINDOW; i++) assert_int_equal(plm_guard_judge(&flat, 2, 1, 0, &z), PLM_GUARD_APPLY);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_nonfinite_is_applied),
      cmocka_unit_test(only_steps_in_a_row_stop_a_run),
      cmocka_unit_test(a_spike_is_reported_and_skipped_when_asked),
      cmocka_unit_test(a_short_or_flat_history_knows_no_spikes),
  };
  return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
