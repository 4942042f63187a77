/* Signals set flags and no more; the clock stops a run in time for a last save. The clock is a fake one. */
#include "support/unit.h"
#include "support/warnings.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "train/stop.h"

static void signals_set_their_flags(void **state) {
  (void)state;
  assert_ok(plm_stop_install());
  assert_int_equal(plm_stop_signals(), 0);
  raise(SIGUSR2);
  assert_int_equal(plm_stop_signals(), PLM_STOP_SAVE);
  plm_stop_clear(PLM_STOP_SAVE);
  raise(SIGUSR1);
  raise(SIGUSR1);
  raise(SIGPIPE);
  assert_int_equal(plm_stop_signals(), PLM_STOP_USR1);
  assert_string_equal(plm_stop_reason(plm_stop_signals()), "SIGUSR1");
  plm_stop_restore();
  assert_ok(plm_stop_install());
  assert_int_equal(plm_stop_signals(), 0);
  plm_stop_restore();
}

static void a_lost_terminal_stops_the_run(void **state) {
  (void)state;
  assert_ok(plm_stop_install());
  raise(SIGHUP);
  assert_int_equal(plm_stop_signals(), PLM_STOP_HUP);
  assert_true((PLM_STOP_EARLY & PLM_STOP_HUP) != 0);
  assert_string_equal(plm_stop_reason(PLM_STOP_HUP), "SIGHUP");
  plm_stop_restore();
}

/* By nohup, and by a script for what it starts with & (Ctrl-C is for the script). A request to end is never ignored. */
static void what_the_caller_ignores_stays_ignored(void **state) {
  static const struct {
    int signal;
    uint32_t seen;
  } cases[] = {{SIGHUP, 0}, {SIGINT, 0}, {SIGTERM, PLM_STOP_TERM}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    signal(cases[i].signal, SIG_IGN);
    assert_ok(plm_stop_install());
    raise(cases[i].signal);
    assert_int_equal(plm_stop_signals(), cases[i].seen);
    plm_stop_restore();
    signal(cases[i].signal, SIG_DFL);
  }
}

/* Runs `body` in a child; its wait status. */
static int in_child(void (*body)(void)) {
  pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static void sleep_ms(long ms) {
  struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

static void ask_twice(void) {
  if (plm_stop_install() != PLM_OK) _exit(9);
  raise(SIGTERM);
  sleep_ms(400);
  raise(SIGINT);
}
static void ask_once_but_doubled(void) {
  if (plm_stop_install() != PLM_OK) _exit(9);
  raise(SIGTERM);
  raise(SIGTERM);
  sleep_ms(400);
  raise(SIGUSR1); /* the warning of a scheduler is never the last word */
  if (plm_stop_signals() != (PLM_STOP_TERM | PLM_STOP_USR1)) _exit(8);
}

/* As Slurm does at its time limit. */
static void term_twice_in_a_step(void) {
  setenv("SLURM_STEP_NUM_TASKS", "1", 1);
  setenv("SLURM_PROCID", "0", 1);
  if (plm_stop_install() != PLM_OK) _exit(9);
  raise(SIGTERM);
  sleep_ms(400);
  raise(SIGTERM);
  if (plm_stop_signals() != PLM_STOP_TERM) _exit(8);
}
static void interrupted_twice_in_a_step(void) {
  term_twice_in_a_step();
  raise(SIGINT);
}
static void term_twice(void) {
  if (plm_stop_install() != PLM_OK) _exit(9);
  raise(SIGTERM);
  sleep_ms(400);
  raise(SIGTERM);
}

static void a_step_of_slurm_repeats_itself(void **state) {
  (void)state;
  unsetenv("SLURM_STEP_NUM_TASKS");
  int status = in_child(term_twice_in_a_step);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  status = in_child(interrupted_twice_in_a_step); /* a person's */
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGINT);
  status = in_child(term_twice);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void a_second_request_leaves_at_once(void **state) {
  (void)state;
  int status = in_child(ask_twice);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGINT);
}

static void a_doubled_signal_is_one_request(void **state) {
  (void)state;
  int status = in_child(ask_once_but_doubled);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void the_time_limit_leaves_room_for_a_step_and_two_saves(void **state) {
  (void)state;
  unsetenv("SLURM_JOB_END_TIME");
  plm_deadline deadline;
  plm_clock_set_fake(1000);
  plm_deadline_init(&deadline, 1000, 100, 0);
  plm_clock_set_fake(2000);
  assert_int_equal(plm_deadline_flags(&deadline), 0); /* no step yet */
  plm_deadline_step(&deadline, 4);
  plm_deadline_step(&deadline, 2);
  plm_deadline_save(&deadline, 3);
  plm_clock_set_fake(1089.9); /* 1100 - 4 - 2 * 3 = 1090 */
  assert_int_equal(plm_deadline_flags(&deadline), 0);
  plm_clock_set_fake(1090.1);
  assert_int_equal(plm_deadline_flags(&deadline), PLM_STOP_TIME_LIMIT);
  assert_true(fabs(plm_deadline_left(&deadline) - 9.9) < 1e-6);
  plm_clock_set_fake(-1);
}

static void slow_steps_are_forgotten(void **state) {
  (void)state;
  plm_deadline deadline;
  plm_clock_set_fake(0);
  plm_deadline_init(&deadline, 0, 100, 0);
  plm_deadline_step(&deadline, 90);
  plm_clock_set_fake(50);
  assert_int_equal(plm_deadline_flags(&deadline), PLM_STOP_TIME_LIMIT);
  for (int i = 0; i < 64; i++) plm_deadline_step(&deadline, 1);
  assert_int_equal(plm_deadline_flags(&deadline), 0);
  plm_clock_set_fake(-1);
}

static void a_slurm_job_stops_a_minute_before_its_end(void **state) {
  (void)state;
  setenv("SLURM_JOB_END_TIME", "5000", 1);
  plm_deadline deadline;
  plm_clock_set_fake(100);
  plm_deadline_init(&deadline, 100, 0, 1000000000); /* 10 s a save, until measured */
  plm_deadline_step(&deadline, 5);
  plm_clock_set_fake(4914);
  assert_int_equal(plm_deadline_flags(&deadline), 0);
  plm_clock_set_fake(4916);
  assert_int_equal(plm_deadline_flags(&deadline), PLM_STOP_JOB_END);
  setenv("SLURM_JOB_END_TIME", "NONE", 1);
  plm_deadline_init(&deadline, 100, 0, 0);
  plm_deadline_step(&deadline, 5);
  assert_int_equal(plm_deadline_flags(&deadline), 0);
  assert_true(isnan(plm_deadline_left(&deadline)));
  unsetenv("SLURM_JOB_END_TIME");
  plm_clock_set_fake(-1);
}

/* What a run with this SLURM_JOB_END_TIME does after a step, having begun at 2000 and come so far at 2100. */
static uint32_t flags_with_job_end(const char *end) {
  plm_deadline deadline;
  warnings_forget();
  setenv("SLURM_JOB_END_TIME", end, 1);
  plm_clock_set_fake(2100);
  plm_deadline_init(&deadline, 2000, 0, 0);
  plm_deadline_step(&deadline, 5);
  unsetenv("SLURM_JOB_END_TIME");
  const uint32_t flags = plm_deadline_flags(&deadline);
  plm_clock_set_fake(-1);
  return flags;
}

/* A variable of a job that is over: obeyed it would stop each start after a step. One that passes while the run is
 * being built is this job's. */
static void an_end_that_had_passed_is_ignored_and_said(void **state) {
  static const char *const passed[] = {"1", "1999", "2000"}, *const near[] = {"2001", "2100", "2160"},
                           *const far[] = {"2300", "1700000000"};
  (void)state;
  warnings_listen();
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(flags_with_job_end(passed[i]), 0);
    assert_int_equal(warnings_count(), 1);
    assert_non_null(strstr(warnings_text(), passed[i]));
    assert_non_null(strstr(warnings_text(), "1970-01-01 00:"));
    assert_non_null(strstr(warnings_text(), "had passed when this start began: ignored"));
    assert_int_equal(flags_with_job_end(near[i]), PLM_STOP_JOB_END);
    assert_int_equal(warnings_count(), 0);
  }
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(flags_with_job_end(far[i]), 0);
    assert_int_equal(warnings_count(), 0);
  }
  warnings_stop();
}

static void an_end_that_is_no_time_is_said(void **state) {
  static const char *const nonsense[] = {"NONE", "Unknown", "2026-11-28T00:00:00", "0", "-5", "2300x", "1e99",
                                         "inf",  "nan",     "999999999999999"};
  (void)state;
  warnings_listen();
  for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
    assert_int_equal(flags_with_job_end(nonsense[i]), 0);
    assert_int_equal(warnings_count(), 1);
    assert_non_null(strstr(warnings_text(), nonsense[i]));
    assert_non_null(strstr(warnings_text(), "is no time"));
  }
  warnings_stop();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(signals_set_their_flags),
      cmocka_unit_test(a_lost_terminal_stops_the_run),
      cmocka_unit_test(what_the_caller_ignores_stays_ignored),
      cmocka_unit_test(a_second_request_leaves_at_once),
      cmocka_unit_test(a_step_of_slurm_repeats_itself),
      cmocka_unit_test(a_doubled_signal_is_one_request),
      cmocka_unit_test(the_time_limit_leaves_room_for_a_step_and_two_saves),
      cmocka_unit_test(slow_steps_are_forgotten),
      cmocka_unit_test(a_slurm_job_stops_a_minute_before_its_end),
      cmocka_unit_test(an_end_that_had_passed_is_ignored_and_said),
      cmocka_unit_test(an_end_that_is_no_time_is_said),
  };
  return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
