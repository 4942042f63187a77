/* Sequences that change while a run reads them: it ends with what it has learnt, and says which file it was. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integration/files.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

#define ENDLESS                      \
  "train " TINY_MODEL " " TINY_BATCH \
  " --threads 1 --dtype fp32 --logging-steps 1 --save-steps 1000000 --max-steps 1000000 --train {}/own.plmd"

/* own.plmd: the packed form that protlm makes beside a FASTA file. */
static void make_packed_file(void) {
  glob_t found;
  assert_int_equal(run_protlm(NULL, "inspect tokens --fasta {}/proteins.fasta").code, 0);
  assert_int_equal(glob(file_path("proteins.fasta.*.plmd"), 0, NULL, &found), 0);
  file_copy(found.gl_pathv[0], file_path("own.plmd"));
  globfree(&found);
}

static void let_it_learn(run_process *process, const char *directory) {
  make_packed_file();
  run_start(NULL, process, ENDLESS " --output-dir {}/%s", directory);
  assert_true(run_until_steps(process, 3));
}

static void expect_saved_to_the_last_step(const run_result *r, const char *directory) {
  int64_t last = run_steps_of(r->err).last;
  run_expect(r, 3);
  run_expect_words(r, r->err, "own.plmd");
  run_expect_words(r, r->err, "try:");
  assert_int_equal(file_newest_checkpoint(directory), last);
  log_expect_each_step_once(directory, 1, last);
}

static void other_residues_end_the_run_with_what_it_has_learnt(void **state) {
  (void)state;
  run_process process;
  let_it_learn(&process, "other");
  file_flip_byte(file_path("own.plmd"), 100);
  run_result r = run_wait(&process);
  expect_saved_to_the_last_step(&r, "other");
  run_expect_words(&r, r.err, "was changed while it was in use");
}

/* The purge of a scratch file system takes what has not been touched. */
static void a_touched_file_is_no_reason_to_stop(void **state) {
  (void)state;
  run_process process;
  let_it_learn(&process, "touched");
  assert_int_equal(utimensat(AT_FDCWD, file_path("own.plmd"), NULL, 0), 0);
  assert_true(run_until_steps(&process, run_steps_now(&process).count + 5));
  run_signal(&process, SIGTERM);
  run_result r = run_wait(&process);
  run_expect(&r, 75);
}

/* Between two steps it is found like any change; in the middle of reading nothing can be saved, but
 * the file is named. */
static void a_file_cut_short_ends_the_run_in_order(void **state) {
  (void)state;
  run_process process;
  let_it_learn(&process, "cut");
  assert_int_equal(truncate(file_path("own.plmd"), 5000), 0);
  run_result r = run_wait(&process);
  run_expect(&r, 3);
  run_expect_words(&r, r.err, "own.plmd");
  run_expect_words(&r, r.err, "try:");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(other_residues_end_the_run_with_what_it_has_learnt),
      cmocka_unit_test(a_touched_file_is_no_reason_to_stop),
      cmocka_unit_test(a_file_cut_short_ends_the_run_in_order),
  };
  return cmocka_run_group_tests(tests, run_setup, scratch_teardown);
}
