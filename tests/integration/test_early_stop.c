/* A request to stop a training is heard from the first line of main on: exit code 75, and nothing is written.
 *
 * Before main has begun, while libraries are loaded, a signal does what it does by default, and no program can help it.
 * So here the signals are blocked when the program is started, and sent at once or after any delay: they are pending,
 * and the first line of main, which unblocks them, is the first that can hear them. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integration/files.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

#define LONG TINY_PLAIN " --max-steps 100000000"

/* With the variable the program starts itself over, once, before it does anything else. */
static const char *const starts_over[] = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", NULL};

/* `times`: as `timeout` and Slurm do, that signal a process and its group. */
static run_result stop_after(const run_options *options, double seconds, int number, int times) {
  run_process process;
  run_start(options, &process, LONG " --output-dir {}/early");
  if (seconds > 0) run_sleep(seconds);
  for (int i = 0; i < times; i++) run_signal(&process, number);
  return run_wait(&process);
}

static void expect_stopped(const run_result *r) {
  run_expect(r, 75);
  if (file_exists("early") && file_newest_checkpoint("early") == 0)
    fail_msg("%s\nit left a directory without a checkpoint: %s", r->command, file_list("early", NULL));
  if (file_exists("early")) file_remove_tree("early");
}

static void each_of_them_is_heard_by_the_first_line(void **state) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};
  static const char *const names[] = {"SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"};
  (void)state;
  for (int over = 0; over < 2; over++) {
    const run_options options = {.holds_signals = true, .environment = over ? starts_over : NULL};
    for (size_t i = 0; i < 4; i++) {
      run_result r = stop_after(&options, 0, numbers[i], 1);
      run_expect_words(&r, r.err, names[i]);
      run_expect_words(&r, r.err, "the same command again");
      if (file_exists("early")) fail_msg("it left: %s", file_list("early", NULL));
      expect_stopped(&r);
    }
  }
}

/* From the first microseconds to the middle of a run, wherever that falls. */
static void at_any_moment_it_is_75(void **state) {
  enum { DELAYS = 40 };
  (void)state;
  for (int over = 0; over < 2; over++) {
    const run_options options = {.holds_signals = true, .environment = over ? starts_over : NULL};
    double seconds = 50e-6;
    for (int i = 0; i < DELAYS; i++, seconds *= 1.25) { /* to 0.3 s */
      run_result r = stop_after(&options, seconds, SIGTERM, 1 + i % 2);
      expect_stopped(&r);
    }
  }
}

/* ---- where it may wait for ever ---- */

/* The thread sanitizer keeps a signal back until the thread comes out of open(2) or read(2), which it does not here. */
static void skip_where_signals_are_kept_back(void) {
#ifdef __SANITIZE_THREAD__
  print_message("skipped: the thread sanitizer delivers signals late\n");
  skip();
#endif
}

/* A FIFO that nobody writes to, or that somebody has begun to write to. */
static void a_configuration_that_does_not_come_holds_nothing_up(void **state) {
  (void)state;
  skip_where_signals_are_kept_back();
  assert_int_equal(mkfifo(file_path("config"), 0600), 0);
  for (int has_writer = 0; has_writer < 2; has_writer++) {
    run_process process;
    run_start(NULL, &process, LONG " --config {}/config --output-dir {}/early");
    const int writer = has_writer ? open(file_path("config"), O_WRONLY) : -1;
    if (has_writer) assert_int_equal(write(writer, "seed: 7\n", 8), 8);
    run_sleep(0.3);
    if (run_is_over(&process)) fail_msg("it did not wait for its configuration");
    run_signal(&process, SIGTERM);
    run_result r = run_wait(&process);
    if (writer >= 0) close(writer);
    expect_stopped(&r);
  }
}

static void data_that_do_not_come_hold_nothing_up(void **state) {
  (void)state;
  skip_where_signals_are_kept_back();
  assert_int_equal(mkfifo(file_path("data"), 0600), 0);
  static const char *const sources[] = {"{}/data", "/dev/stdin", "-"};
  char input[256];
  snprintf(input, sizeof input, "%s", file_path("data"));
  const int writer = open(input, O_RDWR); /* so that it can be opened as standard input */
  const run_options options = {.input = input, .holds_signals = true};
  for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
    run_process process;
    run_start(&options, &process, "train " TINY_MODEL " " TINY_BATCH " --train %s --output-dir {}/early", sources[i]);
    if (!run_until_said(&process, "random weights", 1)) fail_msg("it never began");
    run_sleep(0.2);
    run_signal(&process, SIGTERM);
    run_result r = run_wait(&process);
    expect_stopped(&r);
  }
  close(writer);
}

/* A model's files are regular ones: what would be waited for is refused. */
static void a_model_that_is_a_pipe_is_refused(void **state) {
  static const char *const names[] = {"config.json", "model.safetensors"};
  (void)state;
  run_result r = run_protlm(NULL, TINY_PLAIN " --max-steps 1 --output-dir {}/whole");
  run_expect(&r, 0);
  for (size_t i = 0; i < 2; i++) {
    const char *path = file_path("whole/final/%s", names[i]);
    assert_int_equal(rename(path, file_path("kept")), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    r = run_protlm(NULL, "train --model {}/whole/final --train {}/proteins.fasta --max-steps 1 --output-dir {}/early");
    run_expect(&r, 3);
    run_expect_words(&r, r.err, names[i]);
    run_expect_words(&r, r.err, "not a regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(file_path("kept"), path), 0);
  }
}

/* ---- who is not asked ---- */

static void what_is_ignored_stays_ignored(void **state) {
  (void)state;
  const run_options options = {.nohup = true, .holds_signals = true, .environment = starts_over};
  run_process process;
  run_start(&options, &process, LONG " --output-dir {}/early");
  run_signal(&process, SIGHUP);
  assert_true(run_until_steps(&process, 2));
  run_signal(&process, SIGTERM);
  run_result r = run_wait(&process);
  expect_stopped(&r);
  run_expect_words(&r, r.out, "SIGTERM");
}

static void other_commands_end_by_the_signal(void **state) {
  (void)state;
  assert_int_equal(mkfifo(file_path("silent"), 0600), 0);
  run_process process;
  run_start(NULL, &process, "inspect tokens --fasta {}/silent");
  run_sleep(0.3);
  run_signal(&process, SIGTERM);
  run_result r = run_wait(&process);
  assert_int_equal(r.signal, SIGTERM);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_of_them_is_heard_by_the_first_line),
      cmocka_unit_test(at_any_moment_it_is_75),
      cmocka_unit_test(a_configuration_that_does_not_come_holds_nothing_up),
      cmocka_unit_test(data_that_do_not_come_hold_nothing_up),
      cmocka_unit_test(a_model_that_is_a_pipe_is_refused),
      cmocka_unit_test(what_is_ignored_stays_ignored),
      cmocka_unit_test(other_commands_end_by_the_signal),
  };
  return cmocka_run_group_tests(tests, run_setup, scratch_teardown);
}
