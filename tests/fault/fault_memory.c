/* The n-th allocation fails, for every n of a save and of a load: a status, no leak, and the next try works. */
#include "support/tiny_run.h"

#include <stdio.h>

static tiny_run run;

static plm_status save(void) { return tiny_run_save(&run, 2); }

static plm_status load(void) {
  char *path = NULL;
  json_t *state = NULL;
  plm_status status = tiny_run_load_newest(&run, &path, &state);
  if (status == PLM_OK && path == NULL)
    status = PLM_E_BUG; /* a checkpoint that could not be read for lack of memory is not absent */
  plm_free(path);
  json_decref(state);
  return status;
}

static plm_status list(void) {
  plm_checkpoint_info *items;
  size_t count;
  plm_status status = plm_checkpoint_list(run.directory, true, &items, &count);
  if (status != PLM_OK) return status;
  for (size_t i = 0; i < count; i++)
    if (items[i].state != PLM_CHECKPOINT_GOOD) status = PLM_E_BUG; /* nor is it damaged */
  plm_checkpoint_list_free(items, count);
  return status;
}

/* Returns how many allocations there were. */
static int64_t fail_each(plm_status (*work)(void), const char *name) {
  int64_t n = 0, survived = 0, live = plm_alloc_live();
  for (plm_status status = PLM_E_RESOURCE;;) {
    plm_alloc_fail_at(++n);
    int64_t before = plm_alloc_count();
    status = work();
    bool was_hit = plm_alloc_count() - before >= n;
    plm_alloc_fail_at(0);
    if (plm_alloc_live() != live)
      fail_msg("%s: allocation %lld failed, and %lld leaked", name, (long long)n, (long long)(plm_alloc_live() - live));
    if (!was_hit) {
      assert_ok(status);
      break;
    }
    if (status == PLM_OK)
      survived++;
    else if (status != PLM_E_RESOURCE)
      fail_msg("%s: allocation %lld failed: %s: %s", name, (long long)n, plm_status_name(status), plm_error_message());
    if (work != save) continue;
    tiny_run_check(&run, 1, true, "a failed allocation");
    tiny_run_remove(&run, 2);
    tiny_run_set(&run, 2);
  }
  tiny_run_check(&run, 1, true, name);
  printf("%s: %lld allocations counted = %lld failed in turn (%lld did not matter)\n", name, (long long)n - 1,
         (long long)n - 1, (long long)survived);
  return n - 1;
}

static void every_failed_allocation_is_a_status(void **state) {
  (void)state;
  tiny_run_create(&run, "run", 4, false);
  tiny_run_set(&run, 1);
  assert_ok(tiny_run_save(&run, 1));
  tiny_run_set(&run, 2);
  assert_true(fail_each(save, "save") > 100);
  tiny_run_remove(&run, 2);
  assert_true(fail_each(load, "load") > 100);
  assert_true(fail_each(list, "list") > 20);
  tiny_run_destroy(&run);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_failed_allocation_is_a_status)};
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
