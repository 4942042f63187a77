/* The power goes at every file operation of a save, and the disk then has, lacks or garbles what was not synced. The
 * restarted machine finds the last good checkpoint, never a bad one; and one whose save had said it worked is there. */
#include "support/tiny_run.h"

#include <stdio.h>

static const char *const cut_names[FAULTY_CUTS] = {"everything kept", "everything unsynced lost",
                                                   "data lost, names kept", "names lost, data kept",
                                                   "unsynced data and names garbled"};

/* False when the save has fewer than n operations. */
static bool cut_at(tiny_run *run, int64_t n, faulty_cut mode, uint64_t seed) {
  char what[160];
  snprintf(what, sizeof what, "a power cut at operation %lld (%s, seed %llu)", (long long)n, cut_names[mode],
           (unsigned long long)seed);
  tiny_run_set(run, 2);
  faulty_fs_install(&(faulty_plan){.cut_at = n});
  plm_status status = tiny_run_save(run, 2);
  bool was_cut = faulty_fs_failures() > 0;
  faulty_fs_power_cut(mode, seed);
  assert_true(was_cut || status == PLM_OK);
  int64_t found = tiny_run_check(run, 1, true, what);
  if (status == PLM_OK && found != 2) fail_msg("after %s a checkpoint that was reported saved is gone", what);
  assert_ok(plm_checkpoint_reclaim(run->directory));
  tiny_run_set(run, 2);
  assert_ok(tiny_run_save(run, 2));
  assert_int_equal(tiny_run_check(run, 2, false, what), 2);
  tiny_run_remove(run, 2);
  return was_cut;
}

static void the_power_goes_at_every_operation(void **state) {
  (void)state;
  enum { GARBLINGS = 4 };
  tiny_run run;
  tiny_run_create(&run, "run", 4, false);
  tiny_run_set(&run, 1);
  assert_ok(tiny_run_save(&run, 1));
  for (int mode = 0; mode < FAULTY_CUTS; mode++) {
    int64_t n = 1, cuts = 0;
    bool was_cut = true;
    for (; was_cut; n++)
      for (uint64_t seed = 0; seed < (mode == FAULTY_GARBLE ? GARBLINGS : 1) && was_cut; seed++, cuts++)
        was_cut = cut_at(&run, n, (faulty_cut)mode, seed + 1000 * (uint64_t)n);
    printf("%s: power cut %lld times, at each of %lld operations\n", cut_names[mode], (long long)cuts,
           (long long)n - 2);
    assert_true(n > 50);
  }
  tiny_run_destroy(&run);
}

static void the_power_goes_while_the_only_checkpoint_is_replaced(void **state) {
  static const faulty_cut modes[] = {FAULTY_DROP, FAULTY_GARBLE};
  (void)state;
  tiny_run run;
  tiny_run_create(&run, "replaced", 4, false);
  for (int m = 0; m < 2; m++) {
    bool was_cut = true;
    for (int64_t n = 1; was_cut; n++) {
      run.overwrite = false;
      tiny_run_set(&run, 2);
      assert_ok(tiny_run_save(&run, 2));
      run.overwrite = true;
      faulty_fs_install(&(faulty_plan){.cut_at = n});
      plm_status status = tiny_run_save(&run, 2);
      was_cut = faulty_fs_failures() > 0;
      faulty_fs_power_cut(modes[m], (uint64_t)n);
      assert_true(was_cut || status == PLM_OK);
      assert_ok(plm_checkpoint_reclaim(run.directory));
      assert_int_equal(tiny_run_check(&run, 2, false, cut_names[modes[m]]), 2);
      tiny_run_remove(&run, 2);
    }
  }
  tiny_run_destroy(&run);
}

/* A save that failed once and then said it worked, as when a network file system was away for a
 * moment. False as above. */
static bool cut_after_retry(tiny_run *run, int64_t n, faulty_cut mode) {
  char what[640];
  tiny_run_set(run, 2);
  faulty_fs_install(&(faulty_plan){.fail_at = n});
  if (tiny_run_save(run, 2) != PLM_OK) assert_ok(tiny_run_save(run, 2));
  bool was_hit = faulty_fs_failures() > 0;
  snprintf(what, sizeof what, "a failure of '%s', a retry and a power cut (%s)", faulty_fs_failed(), cut_names[mode]);
  faulty_fs_power_cut(mode, (uint64_t)n);
  assert_int_equal(tiny_run_check(run, 2, false, what), 2);
  tiny_run_remove(run, 2);
  return was_hit;
}

static void what_a_retry_reports_saved_outlives_a_power_cut(void **state) {
  (void)state;
  tiny_run run;
  tiny_run_create(&run, "retried", 4, false);
  tiny_run_set(&run, 1);
  assert_ok(tiny_run_save(&run, 1));
  for (int mode = 0; mode < FAULTY_CUTS; mode++)
    for (int64_t n = 1; cut_after_retry(&run, n, (faulty_cut)mode); n++) continue;
  tiny_run_destroy(&run);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_power_goes_at_every_operation),
      cmocka_unit_test(the_power_goes_while_the_only_checkpoint_is_replaced),
      cmocka_unit_test(what_a_retry_reports_saved_outlives_a_power_cut),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
