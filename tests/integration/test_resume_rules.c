/* What may differ between two starts of a run, and what is said when something may not. Each test works on a copy of
 * one finished run of 12 steps with checkpoints at 4, 8 and 12. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integration/files.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

#define BASE TINY_MODEL " " TINY_BATCH " " TINY_DATA " --logging-steps 1"
#define COMMAND \
  "train " BASE " --eval {}/proteins.fasta --max-steps 12 --save-steps 4 --eval-steps 4 --threads 1 --dtype fp32"

/* A line every 7 steps, a checkpoint every 5. */
#define OPEN_LINE                                  \
  "train " TINY_MODEL " " TINY_BATCH " " TINY_DATA \
  " --logging-steps 7 --max-steps 16 --save-steps 5 --threads 1 --dtype fp32"

static int prepare(void **state) {
  if (run_setup(state) != 0) return -1;
  run_result r = run_protlm(NULL, COMMAND " --output-dir {}/origin");
  run_expect(&r, 0);
  file_copy("proteins.fasta", "other.fasta");
  file_flip_byte("other.fasta", 40);
  return 0;
}

static void copy_run(const char *name) {
  char command[2048];
  snprintf(command, sizeof command, "rm -rf %s && cp -a %s %s", file_path("%s", name), file_path("origin"),
           file_path("%s", name));
  if (system(command) != 0) fail_msg("%s", command);
}

/* As if the run had been killed after step `step`. */
static void rewind_run(const char *name, int step) {
  copy_run(name);
  for (int s = step + 4; s <= 12; s += 4) file_remove_tree(file_path("%s/checkpoint-%d", name, s));
  file_remove_tree(file_path("%s/final", name));
}

/* ---- finished ---- */

static void a_finished_run_says_so(void **state) {
  (void)state;
  copy_run("finished");
  uint64_t before = file_fingerprint("finished/checkpoint-12") ^ file_fingerprint("finished/final") ^
                    file_fingerprint("finished/log.jsonl");
  run_result r = run_protlm(NULL, COMMAND " --output-dir {}/finished");
  run_expect(&r, 0);
  run_expect_words(&r, r.out, "Already finished");
  run_expect_words(&r, r.out, "--max-steps 12");
  assert_int_equal(run_steps_of(r.err).count, 0);
  assert_true(before == (file_fingerprint("finished/checkpoint-12") ^ file_fingerprint("finished/final") ^
                         file_fingerprint("finished/log.jsonl")));
}

/* Killed after the last checkpoint and before final/ was there. */
static void what_a_kill_left_undone_at_the_end_is_done(void **state) {
  (void)state;
  copy_run("end");
  file_remove_tree("end/final");
  run_result r = run_protlm(NULL, COMMAND " --output-dir {}/end");
  run_expect(&r, 0);
  file_expect_same("end/final/model.safetensors", "origin/final/model.safetensors");
  log_expect_each_step_once("end", 1, 12);
}

/* A line of the log whose steps were made by two starts is the one a single start would have written. */
static void the_open_line_of_the_log_goes_on(void **state) {
  (void)state;
  run_result r = run_protlm(NULL, OPEN_LINE " --output-dir {}/whole");
  run_expect(&r, 0);
  r = run_protlm(NULL, OPEN_LINE " --output-dir {}/halves");
  run_expect(&r, 0);
  file_remove_tree("halves/checkpoint-15");
  file_remove_tree("halves/checkpoint-16");
  file_remove_tree("halves/final");
  r = run_protlm(NULL, OPEN_LINE " --output-dir {}/halves");
  run_expect(&r, 0);
  assert_int_equal(run_steps_of(r.err).first, 14);
  log_expect_same("halves", "whole");
  log_expect_csv_matches("halves");
  const char *replaced = file_read("halves/log.replaced.jsonl");
  if (strncmp(replaced, "{\"step\":14,", 11) != 0 || strstr(replaced, "{\"step\":16,") == NULL)
    fail_msg("log.replaced.jsonl: %s", replaced);
}

/* ---- changed options ---- */

typedef struct change {
  const char *options; /* in the place of their like in COMMAND */
  const char *name;    /* of what is not the same; NULL: anything goes */
  bool never;
} change;

#define REST " --eval {}/proteins.fasta --save-steps 4 --eval-steps 4 --threads 1"
#define PLAIN "train " TINY_MODEL " " TINY_DATA REST " --logging-steps 1"

static const change changes[] = {
    /* free */
    {"train " BASE
     " --eval {}/proteins.fasta --max-steps 12 --save-steps 3 --eval-steps 6 --threads 1 --dtype fp32 --save-total-limit 2 --eval-draws 2",
     NULL, false},
    {"train " BASE
     " --eval {}/proteins.fasta --max-steps 12 --save-steps 4 --eval-steps 4 --threads 2 --dtype fp32 --loader-workers 0",
     NULL, false},
    /* allow */
    {"train " BASE REST " --dtype fp32 --max-steps 16", "max-steps", false},
    {"train " BASE REST " --dtype bf16 --max-steps 12", "dtype", false},
    {"train " BASE REST " --dtype fp32 --max-steps 12 --weight-decay 0.1", "weight-decay", false},
    {"train " BASE REST " --dtype fp32 --max-steps 12 --adam-beta2 0.99", "adam-beta2", false},
    {"train " BASE REST " --dtype fp32 --max-steps 12 --max-grad-norm 0.5", "max-grad-norm", false},
    {"train " BASE REST " --dtype fp32 --max-steps 12 --warmup-steps 2", "warmup-steps", false},
    {"train " BASE REST " --dtype fp32 --max-steps 12 --lr-scheduler-type cosine", "lr-scheduler-type", false},
    {"train " BASE REST " --dtype fp32 --max-steps 12 --lr-scheduler-type constant", "lr-scheduler-type", false},
    {"train " BASE REST " --dtype fp32 --max-steps 12 --min-lr-ratio 0", "min-lr-ratio", false},
    {PLAIN
     " --max-length 256 --batch-tokens 512 --micro-batch-tokens 300 --dtype fp32 --max-steps 12 --learning-rate 1e-3",
     "learning-rate", false},
    {"train " TINY_MODEL " " TINY_BATCH " --train {}/other.fasta --logging-steps 1" REST " --dtype fp32 --max-steps 12",
     "train", false},
    {"train " BASE " --eval {}/other.fasta --save-steps 4 --eval-steps 4 --threads 1 --dtype fp32 --max-steps 12",
     "eval", false},
    /* never */
    {"train " BASE REST " --dtype fp32 --max-steps 12 --seed 7", "seed", true},
    {"train " BASE REST " --dtype fp32 --max-steps 12 --mask-probability 0.2", "mask-probability", true},
    {"train " BASE REST " --dtype fp32 --max-steps 12 --random-tokens vocab", "random-tokens", true},
    {"train " BASE REST " --dtype fp32 --max-steps 12 --intermediate-size 64", "intermediate-size", true},
    {PLAIN
     " --max-length 256 --batch-tokens 600 --micro-batch-tokens 300 --learning-rate 2e-3 --dtype fp32 --max-steps 12",
     "batch-tokens", true},
    {PLAIN
     " --max-length 128 --batch-tokens 512 --micro-batch-tokens 300 --learning-rate 2e-3 --dtype fp32 --max-steps 12",
     "max-length", true},
};

static void expect_goes_on(const char *command) {
  run_result r = run_protlm(NULL, "%s --output-dir {}/changed", command);
  run_expect(&r, 0);
  assert_int_equal(run_steps_of(r.err).first, 9);
}

static void expect_refused(const change *c) {
  char allow[128], named[128];
  uint64_t before = file_fingerprint("changed/checkpoint-8") ^ file_fingerprint("changed/log.jsonl") ^
                    file_fingerprint("changed/config.yaml");
  run_result r = run_protlm(NULL, "%s --output-dir {}/changed", c->options);
  run_expect(&r, 2);
  snprintf(named, sizeof named, "--%s was", c->name);
  snprintf(allow, sizeof allow, "--allow-change %s", c->name);
  run_expect_words(&r, r.err, named);
  assert_int_equal(run_steps_of(r.err).count, 0);
  assert_true(before == (file_fingerprint("changed/checkpoint-8") ^ file_fingerprint("changed/log.jsonl") ^
                         file_fingerprint("changed/config.yaml")));
  if (!c->never) {
    run_expect_words(&r, r.err, allow);
    return;
  }
  run_expect_words(&r, r.err, "can't change within a run");
  r = run_protlm(NULL, "%s --output-dir {}/changed --allow-change %s", c->options, c->name);
  run_expect(&r, 2);
}

static void changed_options_are_told_by_class(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    const change *c = &changes[i];
    char allowed[4096];
    rewind_run("changed", 8);
    if (c->name == NULL) {
      expect_goes_on(c->options);
      continue;
    }
    expect_refused(c);
    snprintf(allowed, sizeof allowed, "%s --allow-change %s", c->options, c->name);
    if (!c->never) expect_goes_on(allowed);
  }
}

static void every_difference_is_listed_at_once(void **state) {
  (void)state;
  rewind_run("changed", 8);
  run_result r =
      run_protlm(NULL, "train " BASE REST " --dtype bf16 --max-steps 16 --weight-decay 0.1 --output-dir {}/changed");
  run_expect(&r, 2);
  run_expect_words(&r, r.err, "--max-steps was 12, now 16");
  run_expect_words(&r, r.err, "--weight-decay was 0.01, now 0.1");
  run_expect_words(&r, r.err, "--dtype was fp32, now bf16");
  run_expect_words(&r, r.err, "--allow-change dtype,max-steps,weight-decay");
}

/* The learning rate the next update gets under the new horizon is said, beside what it would have been. */
static void a_longer_horizon_continues_a_finished_run(void **state) {
  (void)state;
  copy_run("longer");
  run_result r = run_protlm(
      NULL, "train " BASE REST " --dtype fp32 --max-steps 20 --allow-change max-steps --output-dir {}/longer");
  run_expect(&r, 0);
  assert_int_equal(run_steps_of(r.err).first, 13);
  assert_int_equal(run_steps_of(r.err).last, 20);
  run_expect_words(&r, r.err, "learning rate of the next update");
  log_expect_each_step_once("longer", 1, 20);
  r = run_protlm(NULL, "train " BASE REST " --dtype fp32 --max-steps 20 --output-dir {}/longer");
  run_expect(&r, 0);
  run_expect_words(&r, r.out, "Already finished");
}

/* Compared by content: another name for the same sequences is no change. */
static void data_may_move(void **state) {
  (void)state;
  rewind_run("moved", 8);
  file_copy("proteins.fasta", "same.fasta");
  run_result r = run_protlm(NULL, "train " TINY_MODEL " " TINY_BATCH " --train {}/same.fasta --logging-steps 1" REST
                                  " --dtype fp32 --max-steps 12 --output-dir {}/moved");
  run_expect(&r, 0);
  file_expect_same_tensors("moved/checkpoint-12", "origin/checkpoint-12");
}

/* ---- damage ---- */

static void a_damaged_newest_checkpoint_is_passed_over(void **state) {
  static const char *const files[] = {"model.safetensors",  "optimizer.safetensors", "protlm_state.json",
                                      "trainer_state.json", "MANIFEST.json",         "config.json"};
  (void)state;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    rewind_run("damaged", 8);
    file_flip_byte(file_path("damaged/checkpoint-8/%s", files[i]), -40);
    run_result r = run_protlm(NULL, COMMAND " --output-dir {}/damaged");
    run_expect(&r, 0);
    run_expect_words(&r, r.err, "checkpoint-8");
    run_expect_words(&r, r.err, "damaged");
    run_expect_words(&r, r.err, files[i]);
    assert_int_equal(run_steps_of(r.err).first, 5);
    file_expect_same_tensors("damaged/checkpoint-12", "origin/checkpoint-12");
    file_expect_same_tensors("damaged/checkpoint-8", "origin/checkpoint-8");
    log_expect_each_step_once("damaged", 1, 12);
    log_expect_same("damaged", "origin");
  }
}

static void a_checkpoint_cut_short_is_passed_over(void **state) {
  (void)state;
  rewind_run("short", 8);
  file_write("short/checkpoint-8/optimizer.safetensors", "{}");
  run_result r = run_protlm(NULL, COMMAND " --output-dir {}/short");
  run_expect(&r, 0);
  assert_int_equal(run_steps_of(r.err).first, 5);
  rewind_run("short", 8);
  if (remove(file_path("short/checkpoint-8/MANIFEST.json")) != 0) fail_msg("no manifest");
  r = run_protlm(NULL, COMMAND " --output-dir {}/short");
  run_expect(&r, 0);
  assert_int_equal(run_steps_of(r.err).first, 5);
}

static void without_a_good_checkpoint_nothing_is_begun(void **state) {
  (void)state;
  rewind_run("ruined", 8);
  file_flip_byte("ruined/checkpoint-8/model.safetensors", -4);
  file_flip_byte("ruined/checkpoint-4/optimizer.safetensors", -4);
  uint64_t before = file_fingerprint("ruined/log.jsonl");
  run_result r = run_protlm(NULL, COMMAND " --output-dir {}/ruined");
  run_expect(&r, 4);
  run_expect_words(&r, r.err, "checkpoint-8");
  run_expect_words(&r, r.err, "checkpoint-4");
  run_expect_words(&r, r.err, "another --output-dir");
  assert_true(before == file_fingerprint("ruined/log.jsonl"));
  assert_int_equal(file_count_checkpoints("ruined"), 2);
}

/* ---- --resume-from-checkpoint ---- */

static void never_refuses_a_run(void **state) {
  (void)state;
  copy_run("never");
  run_result r = run_protlm(NULL, COMMAND " --resume-from-checkpoint never --output-dir {}/never");
  run_expect(&r, 2);
  run_expect_words(&r, r.err, "--output-dir");
  r = run_protlm(NULL, COMMAND " --resume-from-checkpoint never --output-dir {}/fresh");
  run_expect(&r, 0);
  file_expect_same_tensors("fresh/checkpoint-12", "origin/checkpoint-12");
}

static void a_named_checkpoint_begins_a_new_directory(void **state) {
  (void)state;
  run_result r = run_protlm(NULL, COMMAND " --resume-from-checkpoint {}/origin/checkpoint-4 --output-dir {}/branch");
  run_expect(&r, 0);
  assert_int_equal(run_steps_of(r.err).first, 5);
  file_expect_same_tensors("branch/checkpoint-12", "origin/checkpoint-12");
  r = run_protlm(NULL, COMMAND " --resume-from-checkpoint {}/nowhere --output-dir {}/lost");
  run_expect(&r, 2);
  run_expect_words(&r, r.err, "nowhere");
  if (file_exists("lost")) fail_msg("it left %s", file_list("lost", NULL));
  copy_run("damaged");
  file_flip_byte("damaged/checkpoint-4/model.safetensors", -4);
  r = run_protlm(NULL, COMMAND " --resume-from-checkpoint {}/damaged/checkpoint-4 --output-dir {}/lost");
  run_expect(&r, 4);
  run_expect_words(&r, r.err, "model.safetensors");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_finished_run_says_so),
      cmocka_unit_test(what_a_kill_left_undone_at_the_end_is_done),
      cmocka_unit_test(the_open_line_of_the_log_goes_on),
      cmocka_unit_test(changed_options_are_told_by_class),
      cmocka_unit_test(every_difference_is_listed_at_once),
      cmocka_unit_test(a_longer_horizon_continues_a_finished_run),
      cmocka_unit_test(data_may_move),
      cmocka_unit_test(a_damaged_newest_checkpoint_is_passed_over),
      cmocka_unit_test(a_checkpoint_cut_short_is_passed_over),
      cmocka_unit_test(without_a_good_checkpoint_nothing_is_begun),
      cmocka_unit_test(never_refuses_a_run),
      cmocka_unit_test(a_named_checkpoint_begins_a_new_directory),
  };
  return cmocka_run_group_tests(tests, prepare, scratch_teardown);
}
