/* Slurm's word for the end of a job, by a squeue that is made up. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "support/scratch.h"
#include "train/squeue.h"
#include "train/stop.h"

static void times_of_squeue_are_read(void **state) {
  static const struct {
    const char *text;
    double seconds;
  } cases[] = {{"1-02:03:04\n", 93784}, {"02:03:04", 7384}, {"59:30\n", 3570}, {"0:05", 5}};
  static const char *const words[] = {"UNLIMITED", "INVALID", "NOT_SET", "", "12", "-1:00"};
  double seconds;
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_true(plm_squeue_parse_time(cases[i].text, &seconds));
    assert_true(seconds == cases[i].seconds);
  }
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) assert_false(plm_squeue_parse_time(words[i], &seconds));
}

static void make_squeue(const char *script) {
  scratch_write_text("bin/squeue", script);
  assert_int_equal(chmod(scratch_path("bin/squeue"), 0755), 0);
}

static void the_program_is_asked_for_this_job(void **state) {
  double seconds = 0;
  (void)state;
  make_squeue("#!/bin/sh\n[ \"$*\" = '-h -j 42 -o %L' ] && echo 1:00:00\n");
  assert_true(plm_squeue_time_left("42", 5, &seconds));
  assert_true(seconds == 3600);
  assert_false(plm_squeue_time_left("43", 5, &seconds));
}

static void one_that_does_not_answer_is_given_up(void **state) {
  double seconds = 0;
  (void)state;
  make_squeue("#!/bin/sh\nexec sleep 60\n");
  const double started = plm_clock_monotonic();
  assert_false(plm_squeue_time_left("42", 0.2, &seconds));
  assert_true(plm_clock_monotonic() - started < 30);
}

/* The user's limit first, then the variable, then the program. */
static void it_is_asked_last(void **state) {
  plm_deadline deadline;
  (void)state;
  make_squeue("#!/bin/sh\necho 1:00:00\n");
  setenv("SLURM_JOB_ID", "42", 1);
  plm_deadline_init(&deadline, plm_clock_monotonic(), 0, 0);
  assert_true(deadline.job_end > plm_clock_wall() + 3500 && deadline.job_end < plm_clock_wall() + 3700);
  plm_deadline_init(&deadline, plm_clock_monotonic(), 600, 0);
  assert_true(isinf(deadline.job_end));
  setenv("SLURM_JOB_END_TIME", "253402300000", 1);
  plm_deadline_init(&deadline, plm_clock_monotonic(), 0, 0);
  assert_true(deadline.job_end == 253402300000.0);
  unsetenv("SLURM_JOB_END_TIME");
  unsetenv("SLURM_JOB_ID");
  plm_deadline_init(&deadline, plm_clock_monotonic(), 0, 0);
  assert_true(isinf(deadline.job_end));
}

static int setup(void **state) {
  char path[8192];
  if (scratch_setup(state) != 0 || plm_directory_make(scratch_path("bin")) != PLM_OK) return -1;
  snprintf(path, sizeof path, "%s:%s", scratch_path("bin"), getenv("PATH"));
  return setenv("PATH", path, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(times_of_squeue_are_read),
      cmocka_unit_test(the_program_is_asked_for_this_job),
      cmocka_unit_test(one_that_does_not_answer_is_given_up),
      cmocka_unit_test(it_is_asked_last),
  };
  return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
