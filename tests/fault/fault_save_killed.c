/* The process is killed at every file operation of a save, of a prune, and of the reclaiming of leftovers. The next
 * start finds the last good checkpoint, reclaims what was left, and goes on. */
#include "support/tiny_run.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

typedef plm_status work(tiny_run *run);

static plm_status save_second(tiny_run *run) { return tiny_run_save(run, 2); }
static plm_status prune_to_one(tiny_run *run) { return plm_checkpoint_prune(run->directory, 1, NULL, 0); }
static plm_status reclaim(tiny_run *run) { return plm_checkpoint_reclaim(run->directory); }

/* Do `what` in a process that is killed at its n-th file operation. True if it came that far. */
static bool do_killed(tiny_run *run, work *what, int64_t n) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    faulty_fs_install(&(faulty_plan){.kill_at = n});
    _exit(what(run) == PLM_OK ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) != 137) assert_int_equal(WEXITSTATUS(status), 0);
  return WEXITSTATUS(status) == 137;
}

/* Nothing but checkpoints and links is left in the run directory. */
static void assert_clean(tiny_run *run) {
  char **names;
  size_t count;
  assert_ok(plm_directory_list(run->directory, &names, &count));
  for (size_t i = 0; i < count; i++)
    if (strncmp(names[i], "checkpoint-", 11) != 0 && strcmp(names[i], "latest") != 0)
      fail_msg("%s was left over", names[i]);
  plm_names_free(names, count);
}

static void a_save_is_killed_at_every_operation(void **state) {
  (void)state;
  tiny_run run;
  tiny_run_create(&run, "save", 4, false);
  tiny_run_set(&run, 1);
  assert_ok(tiny_run_save(&run, 1));
  int64_t n = 1;
  for (bool was_killed = true; was_killed; n++) {
    char what[64];
    snprintf(what, sizeof what, "a kill at operation %lld", (long long)n);
    tiny_run_set(&run, 2);
    was_killed = do_killed(&run, save_second, n);
    tiny_run_check(&run, 1, true, what);
    assert_ok(plm_checkpoint_reclaim(run.directory));
    assert_clean(&run);
    tiny_run_set(&run, 2);
    assert_ok(tiny_run_save(&run, 2));
    assert_int_equal(tiny_run_check(&run, 2, false, what), 2);
    tiny_run_remove(&run, 2);
  }
  printf("save: killed at each of %lld operations\n", (long long)n - 2);
  assert_true(n > 50);
  tiny_run_destroy(&run);
}

/* The only one there is, as when one is kept: whatever the moment, it is found again, the old or the new. */
static void a_replacement_is_killed_at_every_operation(void **state) {
  (void)state;
  tiny_run run;
  tiny_run_create(&run, "replace", 4, false);
  tiny_run_set(&run, 2);
  assert_ok(tiny_run_save(&run, 2));
  run.overwrite = true;
  int64_t n = 1;
  for (bool was_killed = true; was_killed; n++) {
    was_killed = do_killed(&run, save_second, n);
    for (int64_t at = 1; do_killed(&run, reclaim, at); at++) continue; /* it is killed too, later each time */
    assert_clean(&run);
    assert_int_equal(tiny_run_check(&run, 2, false, "a kill while replacing"), 2);
  }
  printf("replacement: killed at each of %lld operations\n", (long long)n - 2);
  assert_true(n > 50);
  tiny_run_destroy(&run);
}

static void a_prune_is_killed_at_every_operation(void **state) {
  (void)state;
  tiny_run run;
  tiny_run_create(&run, "prune", 4, false);
  int64_t n = 1;
  for (bool was_killed = true; was_killed; n++) {
    for (int64_t step = 1; step <= 3; step++) {
      tiny_run_set(&run, step);
      assert_ok(tiny_run_save(&run, step));
    }
    was_killed = do_killed(&run, prune_to_one, n);
    assert_int_equal(tiny_run_check(&run, 3, false, "a kill while pruning"), 3);
    for (int64_t at = 1; do_killed(&run, reclaim, at); at++)
      assert_int_equal(tiny_run_check(&run, 3, false, "a kill while reclaiming"), 3);
    assert_clean(&run);
    assert_ok(prune_to_one(&run));
    assert_false(tiny_run_has(&run, 1));
    assert_false(tiny_run_has(&run, 2));
    assert_true(tiny_run_has(&run, 3));
  }
  printf("prune: killed at each of %lld operations, and its cleaning up after every single one\n", (long long)n - 2);
  tiny_run_destroy(&run);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_save_is_killed_at_every_operation),
      cmocka_unit_test(a_replacement_is_killed_at_every_operation),
      cmocka_unit_test(a_prune_is_killed_at_every_operation),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
