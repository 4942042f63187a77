/* The logs are brought back to a checkpoint while every file operation fails in turn, the power goes, or the process is
 * killed. No line is lost, whatever happens; and after a resume that works each line is in exactly one of log.jsonl and
 * log.replaced.jsonl. */
#include "support/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "runlog/metrics.h"
#include "support/faulty_fs.h"
#include "support/records.h"
#include "support/scratch.h"

enum { LINES = 6, FROM_STEP = 3 };

static const char *directory;
static char *original; /* log.jsonl before the resume */

static char *read_log(const char *name) {
  char *path, *data = NULL;
  size_t bytes;
  assert_ok(plm_path_join(directory, name, &path));
  if (plm_file_exists(path))
    assert_ok(plm_file_read(path, 1 << 20, &data, &bytes));
  else
    assert_ok(plm_strdup("", &data));
  plm_free(path);
  return data;
}

/* A fresh run that was killed at step 6, in the middle of writing line 7. */
static void make_run(void) {
  plm_metrics *metrics;
  assert_ok(plm_tree_remove(directory));
  assert_ok(plm_directory_make(directory));
  assert_ok(plm_metrics_open(directory, -1, &metrics));
  for (int64_t step = 1; step <= LINES; step++) {
    const double values[PLM_MEASURES] = {
        [PLM_MEASURE_STEP] = (double)step,
        [PLM_MEASURE_LOSS] = 3 - 0.1 * (double)step,
        [PLM_MEASURE_SECONDS] = (double)step,
    };
    const plm_record line = record_of(PLM_TRAIN_LINE, values);
    assert_ok(plm_metrics_write(metrics, &line));
  }
  assert_ok(plm_metrics_sync(metrics));
  assert_ok(plm_metrics_close(&metrics));
  if (original == NULL) original = read_log("log.jsonl");
  char *path;
  assert_ok(plm_path_join(directory, "log.jsonl", &path));
  FILE *file = fopen(path, "ab");
  fputs("{\"step\":7,\"lo", file);
  fclose(file);
  plm_free(path);
}

static plm_status resume(void) {
  plm_metrics *metrics;
  PLM_TRY(plm_metrics_open(directory, FROM_STEP, &metrics));
  return plm_metrics_close(&metrics);
}

static int count_of(const char *text, const char *line, size_t length) {
  int count = 0;
  for (const char *p = text; *p != '\0'; p = strchr(p, '\n') + 1) {
    if (strncmp(p, line, length) == 0) count++;
    if (strchr(p, '\n') == NULL) break;
  }
  return count;
}

/* Each original line is in one of the two files at least; exactly once in all when the resume is complete, where it
 * belongs. */
static void check_lines(bool is_complete, const char *what) {
  char *log = read_log("log.jsonl"), *replaced = read_log("log.replaced.jsonl");
  const char *line = original;
  for (int step = 1; step <= LINES; step++) {
    size_t length = (size_t)(strchr(line, '\n') - line) + 1;
    int in_log = count_of(log, line, length), in_replaced = count_of(replaced, line, length);
    if (in_log > 1 || in_replaced > 1 || in_log + in_replaced == 0)
      fail_msg("after %s line %d is %d times in the log and %d times among the replaced", what, step, in_log,
               in_replaced);
    if (is_complete && (in_log != (step <= FROM_STEP) || in_replaced != (step > FROM_STEP)))
      fail_msg("after %s line %d is in the wrong file", what, step);
    line += length;
  }
  plm_free(log);
  plm_free(replaced);
}

/* The table is that of a resume without faults. */
static void check_table(const char *expected, const char *what) {
  char *csv = read_log("metrics.csv");
  if (strcmp(csv, expected) != 0) fail_msg("after %s the table is:\n%s", what, csv);
  plm_free(csv);
}

static char *undisturbed_table(void) {
  make_run();
  assert_ok(resume());
  check_lines(true, "an undisturbed resume");
  return read_log("metrics.csv");
}

static void every_operation_fails_in_turn(void **state) {
  (void)state;
  static const int errors[] = {ENOSPC, EIO, EDQUOT};
  char *table = undisturbed_table(), what[640];
  for (size_t e = 0; e < 2 * sizeof errors / sizeof *errors; e++) {
    int64_t n = 1;
    for (bool was_hit = true; was_hit; n++) {
      make_run();
      faulty_fs_install(&(faulty_plan){.fail_at = n, .error = errors[e / 2], .stays_broken = e % 2 == 1});
      plm_status status = resume();
      was_hit = faulty_fs_failures() > 0;
      snprintf(what, sizeof what, "%s: %s", faulty_fs_failed(), strerror(errors[e / 2]));
      faulty_fs_remove();
      assert_true(was_hit || status == PLM_OK);
      check_lines(status == PLM_OK, what);
      assert_ok(resume());
      check_lines(true, what);
      check_table(table, what);
    }
    printf("%s%s: %lld operations counted = %lld operations failed\n", strerror(errors[e / 2]),
           e % 2 == 1 ? ", lasting" : "", (long long)n - 2, (long long)n - 2);
  }
  plm_free(table);
}

static void the_power_goes_at_every_operation(void **state) {
  (void)state;
  char *table = undisturbed_table(), what[80];
  int64_t cuts = 0;
  for (int mode = 0; mode < FAULTY_CUTS; mode++) {
    bool was_cut = true;
    for (int64_t n = 1; was_cut; n++, cuts++) {
      make_run();
      faulty_fs_install(&(faulty_plan){.cut_at = n});
      plm_status status = resume();
      was_cut = faulty_fs_failures() > 0;
      faulty_fs_power_cut((faulty_cut)mode, 7 + (uint64_t)n);
      snprintf(what, sizeof what, "a power cut (%d) at operation %lld", mode, (long long)n);
      check_lines(status == PLM_OK, what);
      assert_ok(resume());
      check_lines(true, what);
      check_table(table, what);
    }
  }
  printf("power cut %lld times\n", (long long)cuts);
  plm_free(table);
}

static void the_process_is_killed_at_every_operation(void **state) {
  (void)state;
  char *table = undisturbed_table(), what[64];
  int64_t n = 1;
  for (bool was_killed = true; was_killed; n++) {
    make_run();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
      faulty_fs_install(&(faulty_plan){.kill_at = n});
      _exit(resume() == PLM_OK ? 0 : 1);
    }
    int exit_status;
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    was_killed = WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 137;
    assert_true(was_killed || exit_status == 0);
    snprintf(what, sizeof what, "a kill at operation %lld", (long long)n);
    check_lines(!was_killed, what);
    assert_ok(resume());
    check_lines(true, what);
    check_table(table, what);
  }
  printf("killed at each of %lld operations\n", (long long)n - 2);
  plm_free(table);
}

static int setup(void **state) {
  if (scratch_setup(state) != 0) return -1;
  char *path;
  assert_ok(plm_strdup(scratch_path("run"), &path));
  directory = path;
  return 0;
}

static int teardown(void **state) {
  plm_free((void *)(uintptr_t)directory);
  plm_free(original);
  return scratch_teardown(state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_operation_fails_in_turn),
      cmocka_unit_test(the_power_goes_at_every_operation),
      cmocka_unit_test(the_process_is_killed_at_every_operation),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
