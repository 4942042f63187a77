/* Every file operation of a save made to fail in turn, with every error a disk can give. Whatever fails: the last good
 * checkpoint is found and loads, a bad one never appears, and the next save works. */
#include "support/tiny_run.h"

#include <errno.h>
#include <stdio.h>

static int64_t counted, failed;

/* One save that fails at operation n as planned. False when it has fewer operations. */
static bool try_save(tiny_run *run, const faulty_plan *plan) {
  tiny_run_set(run, 2);
  faulty_fs_install(plan);
  plm_status status = tiny_run_save(run, 2);
  bool was_hit = faulty_fs_failures() > 0;
  char what[640];
  snprintf(what, sizeof what, "%s failed with '%s'%s", faulty_fs_failed(), strerror(plan->error),
           plan->stays_broken ? " from then on" : "");
  faulty_fs_remove();
  if (!was_hit) {
    assert_ok(status);
    return false;
  }
  counted++;
  int64_t found = tiny_run_check(run, 1, true, what);
  if (status == PLM_OK && found != 2)
    fail_msg("the save said it worked although %s, but its checkpoint is not there", what);
  if (status != PLM_OK) {
    failed++;
    if (status != PLM_E_RESOURCE && status != PLM_E_INPUT)
      fail_msg("%s: %s: %s", what, plm_status_name(status), plm_error_message());
    if (strstr(plm_error_message(), run->directory) == NULL ||
        strstr(plm_error_message(), strerror(plan->error)) == NULL)
      fail_msg("%s: the message names neither place nor reason: %s", what, plm_error_message());
  }
  tiny_run_set(run, 2);
  assert_ok(tiny_run_save(run, 2));
  assert_int_equal(tiny_run_check(run, 2, false, what), 2);
  tiny_run_remove(run, 2);
  return true;
}

static void every_operation_with(int error, bool stays_broken, size_t largest_write) {
  tiny_run run;
  tiny_run_create(&run, strerror(error), 4, false);
  tiny_run_set(&run, 1);
  assert_ok(tiny_run_save(&run, 1));
  counted = failed = 0;
  for (int64_t n = 1;; n++)
    if (!try_save(
            &run,
            &(faulty_plan){.fail_at = n, .error = error, .stays_broken = stays_broken, .largest_write = largest_write}))
      break;
  printf("%s%s%s: %lld operations counted = %lld operations failed; %lld ended the save, %lld it could do without\n",
         strerror(error), stays_broken ? ", lasting" : "", largest_write > 0 ? ", short writes" : "",
         (long long)counted, (long long)counted, (long long)failed, (long long)(counted - failed));
  assert_true(counted > 50 && failed > counted / 2);
  tiny_run_destroy(&run);
  assert_ok(plm_tree_remove(run.directory));
}

static void full_disk(void **state) { (void)state, every_operation_with(ENOSPC, false, 0); }
static void disk_that_stays_full(void **state) { (void)state, every_operation_with(ENOSPC, true, 0); }
static void broken_disk(void **state) { (void)state, every_operation_with(EIO, false, 0); }
static void disk_that_stays_broken(void **state) { (void)state, every_operation_with(EIO, true, 0); }
static void quota(void **state) { (void)state, every_operation_with(EDQUOT, false, 0); }
static void quota_behind_short_writes(void **state) { (void)state, every_operation_with(EDQUOT, true, 4096); }

/* The damaged checkpoint that a_damaged_one_in_the_way_is_replaced made, as it was. */
static bool is_still_damaged(const char *model) {
  char *data;
  size_t bytes;
  if (!plm_file_exists(model)) return false;
  assert_ok(plm_file_read(model, 1 << 20, &data, &bytes));
  bool is_damage = strcmp(data, "damage") == 0;
  plm_free(data);
  return is_damage;
}

/* A name that is taken by something damaged: it is replaced, and a fault on the way leaves the older one, and the
 * damaged one too. */
static void a_damaged_one_in_the_way_is_replaced(void **state) {
  (void)state;
  tiny_run run;
  tiny_run_create(&run, "in-the-way", 4, false);
  tiny_run_set(&run, 1);
  assert_ok(tiny_run_save(&run, 1));
  int64_t n = 1;
  for (bool was_hit = true; was_hit; n++) {
    char *model;
    assert_ok(plm_sprintf(&model, "%s/checkpoint-2/model.safetensors", run.directory));
    tiny_run_set(&run, 2);
    assert_ok(tiny_run_save(&run, 2));
    assert_ok(plm_file_replace(model, "damage", 6));
    faulty_fs_install(&(faulty_plan){.fail_at = n, .error = EIO});
    plm_status status = tiny_run_save(&run, 2);
    was_hit = faulty_fs_failures() > 0;
    faulty_fs_remove();
    assert_true(was_hit || status == PLM_OK);
    if (status == PLM_OK)
      assert_true(tiny_run_has(&run, 2));
    else if (!tiny_run_has(&run, 2) && !is_still_damaged(model))
      fail_msg("operation %lld failed and what was in the way is gone", (long long)n);
    plm_free(model);
    tiny_run_remove(&run, 2);
    assert_int_equal(tiny_run_check(&run, 1, false, "replacing"), 1);
  }
  printf("replacing a damaged one: %lld operations failed in turn\n", (long long)n - 2);
  tiny_run_destroy(&run);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(full_disk),
      cmocka_unit_test(disk_that_stays_full),
      cmocka_unit_test(broken_disk),
      cmocka_unit_test(disk_that_stays_broken),
      cmocka_unit_test(quota),
      cmocka_unit_test(quota_behind_short_writes),
      cmocka_unit_test(a_damaged_one_in_the_way_is_replaced),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
