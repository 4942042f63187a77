/* The directory of a run: whose it may be, what stands in it, what is removed and what stays. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integration/files.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

static const char checkpoint_files[] =
    "MANIFEST.json config.json model.safetensors optimizer.safetensors protlm_state.json special_tokens_map.json tokenizer_config.json "
    "trainer_state.json vocab.txt";
static const char model_files[] =
    "config.json model.safetensors special_tokens_map.json tokenizer_config.json trainer_state.json vocab.txt";

static void make_directory(const char *name) {
  if (mkdir(file_path("%s", name), 0755) != 0) fail_msg("%s can't be made", name);
}

static void run_expect_ok(const char *line) {
  run_result r = run_protlm(NULL, "%s", line);
  run_expect(&r, 0);
}

/* ---- what stands in it ---- */

static void a_run_leaves_exactly_these(void **state) {
  (void)state;
  run_result r =
      run_protlm(NULL, TINY_PLAIN
                 " --eval {}/proteins.fasta --max-steps 10 --save-steps 4 --eval-steps 4 --output-dir {}/parent/run");
  run_expect(&r, 0);
  assert_string_equal(file_list("parent", NULL), "run/");
  assert_string_equal(
      file_list("parent/run", "events.out.tfevents."),
      "best->checkpoint-10 checkpoint-10/ checkpoint-4/ checkpoint-8/ config.yaml env.json final/ latest->checkpoint-10 log.jsonl metrics.csv "
      "report.html run.lock");
  assert_string_equal(file_list("parent/run/checkpoint-4", NULL), checkpoint_files);
  assert_string_equal(file_list("parent/run/checkpoint-10", NULL), checkpoint_files);
  assert_string_equal(file_list("parent/run/final", NULL), model_files);
  file_expect_same("parent/run/final/model.safetensors", "parent/run/checkpoint-10/model.safetensors");
}

/* Relative links: they still point into the run after it has moved. */
static void a_run_can_be_moved(void **state) {
  (void)state;
  run_result r = run_protlm(NULL, TINY_PLAIN " --max-steps 4 --save-steps 2 --output-dir {}/before");
  run_expect(&r, 0);
  assert_int_equal(rename(file_path("before"), file_path("after")), 0);
  file_expect_same("after/latest/model.safetensors", "after/checkpoint-4/model.safetensors");
  r = run_protlm(NULL, TINY_PLAIN " --max-steps 6 --save-steps 2 --allow-change max-steps --output-dir {}/after");
  run_expect(&r, 0);
  assert_int_equal(run_steps_of(r.err).first, 5);
  file_expect_same("after/latest/model.safetensors", "after/checkpoint-6/model.safetensors");
}

static void old_checkpoints_go_and_the_best_stays(void **state) {
  (void)state;
  run_result r = run_protlm(
      NULL, TINY_PLAIN
      " --eval {}/proteins.fasta --max-steps 10 --save-steps 1 --eval-steps 1 --save-total-limit 2 --output-dir {}/limited");
  run_expect(&r, 0);
  assert_string_equal(
      file_list("limited", "e"),
      "best->checkpoint-10 checkpoint-10/ checkpoint-9/ config.yaml final/ latest->checkpoint-10 log.jsonl metrics.csv report.html run.lock");
  /* Evaluated once, at step 4; what is saved later was never evaluated, so 4 stays the best. */
  r = run_protlm(
      NULL, TINY_PLAIN
      " --eval {}/proteins.fasta --max-steps 11 --save-steps 2 --eval-steps 4 --save-total-limit 1 --time-limit 1000s --output-dir {}/best");
  run_expect(&r, 0);
  json_t *lines = log_read("best"), *line;
  double lowest = 1e9;
  long long best = 0;
  size_t i;
  json_array_foreach(lines, i, line) {
    if (log_is_training(line) || log_count(line, "step") == 0 || log_number(line, "eval_loss") >= lowest) continue;
    lowest = log_number(line, "eval_loss");
    best = log_count(line, "step");
  }
  char expected[256];
  snprintf(expected, sizeof expected, "best->checkpoint-%lld", best);
  if (strstr(file_list("best", NULL), expected) == NULL) fail_msg("%s is due in %s", expected, file_list("best", NULL));
  assert_true(file_exists(file_path("best/checkpoint-%lld/MANIFEST.json", best)));
  assert_true(file_exists("best/checkpoint-11/MANIFEST.json"));
  assert_int_equal(file_count_checkpoints("best"), best == 11 ? 1 : 2);
  json_decref(lines);
}

static void the_best_outlives_later_ones(void **state) {
  (void)state;
  /* After step 2 the learning rate is absurd: step 2, or whichever was lowest, must stay and become final/. */
  run_result r = run_protlm(
      NULL, TINY_PLAIN " --eval {}/proteins.fasta --max-steps 2 --save-steps 1 --eval-steps 1 --output-dir {}/outlive");
  run_expect(&r, 0);
  r = run_protlm(
      NULL,
      "train " TINY_MODEL " " TINY_DATA
      " --logging-steps 1 --threads 1 --dtype fp32 --max-length 256 --batch-tokens 512 --micro-batch-tokens 300 --eval {}/proteins.fasta "
      "--max-steps 8 --save-steps 1 --eval-steps 1 --learning-rate 1 --lr-scheduler-type constant --allow-change max-steps,learning-rate,lr-scheduler-type "
      "--save-total-limit 2 --load-best-model-at-end --output-dir {}/outlive");
  run_expect(&r, 0);
  assert_string_equal(
      file_list("outlive", "e"),
      "best->checkpoint-2 checkpoint-2/ checkpoint-7/ checkpoint-8/ config.yaml final/ latest->checkpoint-8 log.jsonl metrics.csv report.html run.lock");
  file_expect_same("outlive/final/model.safetensors", "outlive/checkpoint-2/model.safetensors");
}

static void leftovers_are_reclaimed(void **state) {
  (void)state;
  static const char uuid[] = "0123456789abcdef0123456789abcdef";
  run_result r = run_protlm(NULL, TINY_PLAIN " --max-steps 4 --save-steps 2 --output-dir {}/leftovers");
  run_expect(&r, 0);
  make_directory(file_path("leftovers/tmp-6-%s", uuid));
  file_write(file_path("leftovers/tmp-6-%s/model.safetensors", uuid), "half a");
  make_directory(file_path("leftovers/.trash-1-%s", uuid));
  file_write(file_path("leftovers/.trash-1-%s/config.json", uuid), "{}");
  file_write("leftovers/tmp-config.yaml-1234-0", "half a");
  file_write("leftovers/notes.txt", "mine");
  make_directory("leftovers/tmp-mine");
  r = run_protlm(NULL, TINY_PLAIN " --max-steps 6 --save-steps 2 --allow-change max-steps --output-dir {}/leftovers");
  run_expect(&r, 0);
  assert_string_equal(
      file_list("leftovers", "e"),
      "checkpoint-2/ checkpoint-4/ checkpoint-6/ config.yaml final/ latest->checkpoint-6 log.jsonl metrics.csv notes.txt report.html run.lock tmp-mine/");
}

/* ---- whose it may be ---- */

static void expect_untouched(const char *name, int code, const char *words) {
  uint64_t before = file_fingerprint(name);
  run_result r = run_protlm(NULL, TINY_PLAIN " --max-steps 2 --output-dir {}/%s", name);
  run_expect(&r, code);
  run_expect_words(&r, r.err, words);
  run_expect_words(&r, r.err, name);
  if (before != file_fingerprint(name)) fail_msg("%s was changed: %s", name, file_list(name, NULL));
}

static void what_is_not_a_run_is_left_alone(void **state) {
  (void)state;
  make_directory("foreign");
  file_write("foreign/thesis.tex", "all of it");
  expect_untouched("foreign", 2, "not empty");
  make_directory("trainer");
  make_directory("trainer/checkpoint-500");
  file_write("trainer/checkpoint-500/model.safetensors", "theirs");
  file_write("trainer/checkpoint-500/trainer_state.json", "{}");
  expect_untouched("trainer", 2, "not empty");
  file_write("a_file", "text");
  expect_untouched("a_file", 6, "a file, not a directory");
  make_directory("empty");
  run_result r = run_protlm(NULL, TINY_PLAIN " --max-steps 2 --output-dir {}/empty");
  run_expect(&r, 0);
}

static void what_cannot_be_written_is_said(void **state) {
  (void)state;
  run_result r = run_protlm(NULL, TINY_PLAIN " --max-steps 2 --output-dir {}/a_file/below");
  run_expect(&r, 6);
  r = run_protlm(NULL, TINY_PLAIN " --max-steps 2 --output-dir /proc/nowhere/run");
  run_expect(&r, 6);
  run_expect_words(&r, r.err, "/proc/nowhere");
  r = run_protlm(NULL, TINY_PLAIN " --max-steps 2");
  run_expect(&r, 2);
  run_expect_words(&r, r.err, "--output-dir");
}

/* A mistake in the options or the data leaves no directory behind. */
static void a_run_that_never_began_leaves_nothing(void **state) {
  (void)state;
  file_write("not.fasta", "this is no sequence\n");
  run_result r = run_protlm(NULL, "train " TINY_MODEL " --train {}/not.fasta --output-dir {}/nothing");
  run_expect(&r, 3);
  r = run_protlm(NULL, "train " TINY_MODEL " --train {}/absent.fasta --output-dir {}/nothing");
  run_expect(&r, 3);
  r = run_protlm(NULL, TINY_PLAIN " --max-steps 10 --warmup-steps 10 --output-dir {}/nothing");
  run_expect(&r, 2);
  if (file_exists("nothing")) fail_msg("it left %s", file_list("nothing", NULL));
}

static void a_run_in_use_is_refused(void **state) {
  (void)state;
  run_process first;
  char holder[64];
  run_start(NULL, &first, TINY_PLAIN " --max-steps 1000000 --save-steps 1000000 --output-dir {}/busy");
  assert_true(run_until_steps(&first, 1));
  snprintf(holder, sizeof holder, "process %ld", (long)first.pid);
  run_result r = run_protlm(NULL, TINY_PLAIN " --max-steps 3 --output-dir {}/busy");
  run_signal(&first, SIGKILL);
  run_wait(&first);
  run_expect(&r, 2);
  run_expect_words(&r, r.err, "in use");
  run_expect_words(&r, r.err, holder);
  assert_int_equal(run_steps_of(r.err).count, 0);
  /* A killed run never blocks the next. */
  r = run_protlm(NULL, TINY_PLAIN " --max-steps 3 --output-dir {}/busy");
  run_expect(&r, 0);
  log_expect_each_step_once("busy", 1, 3);
  if (*file_read("busy/log.replaced.jsonl") == '\0')
    fail_msg("the lines of the killed start are not in log.replaced.jsonl");
}

/* ---- what others did to it ---- */

static void a_log_that_lost_lines_is_said(void **state) {
  (void)state;
  run_expect_ok(TINY_PLAIN " --max-steps 6 --save-steps 4 --output-dir {}/shorn");
  file_remove_tree("shorn/checkpoint-6");
  file_write("shorn/log.jsonl", "");
  run_result r = run_protlm(NULL, TINY_PLAIN " --max-steps 6 --save-steps 4 --output-dir {}/shorn");
  run_expect(&r, 0);
  run_expect_words(&r, r.err, "log.jsonl has 0 of the 4 lines that were in it at step 4");
  run_expect_words(&r, r.err, "checkpoint-4/trainer_state.json");
}

static void what_is_no_log_is_not_waited_for(void **state) {
  (void)state;
  run_expect_ok(TINY_PLAIN " --max-steps 4 --output-dir {}/fifo");
  unlink(file_path("fifo/log.jsonl"));
  assert_int_equal(mkfifo(file_path("fifo/log.jsonl"), 0600), 0);
  run_result r = run_protlm(NULL, TINY_PLAIN " --max-steps 6 --allow-change max-steps --output-dir {}/fifo");
  run_expect_words(&r, r.err, "log.jsonl");
  assert_true(r.code == 3 || r.code == 6);
}

/* The lines of another run are not missing from the one that branches off from it, whatever their
 * names have in common. */
static void a_branch_misses_no_lines(void **state) {
  (void)state;
  run_expect_ok(TINY_PLAIN " --max-steps 4 --output-dir {}/branch-trunk");
  run_result r = run_protlm(
      NULL, TINY_PLAIN
      " --max-steps 6 --allow-change max-steps --resume-from-checkpoint {}/branch-trunk/checkpoint-4 --output-dir {}/branch");
  run_expect(&r, 0);
  if (strstr(r.err, "log.jsonl has") != NULL) fail_msg("lines are called missing: %s", r.err);
}

/* Links are for people: a run does not end for want of one. */
static void names_of_links_may_be_taken(void **state) {
  (void)state;
  make_directory("taken");
  file_write("taken/run.lock", "");
  make_directory("taken/latest");
  make_directory("taken/best");
  run_result r =
      run_protlm(NULL, TINY_PLAIN " --eval {}/proteins.fasta --max-steps 4 --eval-steps 2 --output-dir {}/taken");
  run_expect(&r, 0);
  run_expect_words(&r, r.err, "taken/best");
  assert_true(file_exists("taken/final/model.safetensors"));
}

/* Checkpoints were removed to make room, and what was made of them was kept. */
static void a_tidied_run_is_not_trained_anew(void **state) {
  (void)state;
  run_expect_ok(TINY_PLAIN " --max-steps 4 --output-dir {}/tidied");
  file_remove_tree("tidied/checkpoint-4");
  uint64_t before = file_fingerprint("tidied/final");
  run_result r = run_protlm(NULL, TINY_PLAIN " --seed 7 --max-steps 4 --output-dir {}/tidied");
  run_expect(&r, 2);
  run_expect_words(&r, r.err, "no checkpoint to go on from");
  assert_true(file_fingerprint("tidied/final") == before);
}

static void a_run_is_not_made_shorter_than_it_is(void **state) {
  (void)state;
  run_expect_ok(TINY_PLAIN " --max-steps 6 --output-dir {}/shorter");
  run_result r = run_protlm(NULL, TINY_PLAIN " --max-steps 4 --allow-change max-steps --output-dir {}/shorter");
  run_expect(&r, 2);
  run_expect_words(&r, r.err, "has done 6 steps already, and is asked for 4");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_run_leaves_exactly_these),
      cmocka_unit_test(a_run_can_be_moved),
      cmocka_unit_test(old_checkpoints_go_and_the_best_stays),
      cmocka_unit_test(the_best_outlives_later_ones),
      cmocka_unit_test(leftovers_are_reclaimed),
      cmocka_unit_test(what_is_not_a_run_is_left_alone),
      cmocka_unit_test(what_cannot_be_written_is_said),
      cmocka_unit_test(a_run_that_never_began_leaves_nothing),
      cmocka_unit_test(a_run_in_use_is_refused),
      cmocka_unit_test(a_log_that_lost_lines_is_said),
      cmocka_unit_test(a_branch_misses_no_lines),
      cmocka_unit_test(what_is_no_log_is_not_waited_for),
      cmocka_unit_test(names_of_links_may_be_taken),
      cmocka_unit_test(a_tidied_run_is_not_trained_anew),
      cmocka_unit_test(a_run_is_not_made_shorter_than_it_is),
  };
  return cmocka_run_group_tests(tests, run_setup, scratch_teardown);
}
