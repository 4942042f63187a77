/* The same command gives the same bytes, and what only watches a run - logging, evaluation, saving, threads that read
 * ahead - does not change them. */
#include <stdio.h>
#include <string.h>

#include "integration/files.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

/* Two and a half epochs, crops and micro-batches among them. */
#define TRAIN                       \
  "train " TINY_MODEL " " TINY_DATA \
  " --max-length 100 --batch-tokens 512 --micro-batch-tokens 200 --learning-rate 2e-3 --max-steps 18"

static void train(const char *run, const char *more) {
  run_result r = run_protlm(NULL, TRAIN " %s --output-dir {}/%s", more, run);
  run_expect(&r, 0);
}

static void expect_same_results(const char *a, const char *b) {
  file_expect_same_tensors(file_path("%s/checkpoint-18", a), file_path("%s/checkpoint-18", b));
  file_expect_same(file_path("%s/final/model.safetensors", a), file_path("%s/final/model.safetensors", b));
}

static void the_same_command_gives_the_same_bytes(void **state) {
  static const char *const settings[] = {"--dtype fp32 --threads 1", "--dtype fp32 --threads 2",
                                         "--dtype bf16 --threads 1", "--dtype bf16 --threads 2"};
  (void)state;
  for (int i = 0; i < 4; i++) {
    char more[256], a[16], b[16];
    snprintf(more, sizeof more, "%s --eval {}/proteins.fasta --logging-steps 1 --eval-steps 5 --save-steps 7",
             settings[i]);
    snprintf(a, sizeof a, "a%d", i);
    snprintf(b, sizeof b, "b%d", i);
    train(a, more);
    train(b, more);
    expect_same_results(a, b);
    file_expect_same_tensors(file_path("%s/checkpoint-7", a), file_path("%s/checkpoint-7", b));
    log_expect_same(a, b);
    /* What stands beside the tensors holds no time either. */
    file_expect_same(file_path("%s/final/config.json", a), file_path("%s/final/config.json", b));
  }
}

static void watching_changes_nothing(void **state) {
  static const char *const ways[] = {
      "--logging-steps 7",
      "--logging-steps 1 --save-steps 1",
      "--logging-steps 1 --save-steps 1 --save-total-limit 1",
      "--logging-steps 1 --eval {}/proteins.fasta --eval-steps 1",
      "--logging-steps 1 --eval {}/proteins.fasta --eval-steps 3 --eval-draws 3 --eval-seed 9 --load-best-model-at-end --save-at start,epoch",
      "--logging-steps 1 --loader-workers 0",
      "--logging-steps 1 --loader-workers 4",
      "--logging-steps 1 --quiet",
  };
  (void)state;
  train("alone", "--dtype fp32 --threads 2 --logging-steps 1");
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    char more[512], run[16];
    snprintf(more, sizeof more, "--dtype fp32 --threads 2 %s", ways[i]);
    snprintf(run, sizeof run, "way%zu", i);
    train(run, more);
    file_expect_same_tensors("alone/checkpoint-18", file_path("%s/checkpoint-18", run));
  }
}

/* A test that can't see a difference shows nothing. */
static void another_seed_is_another_run(void **state) {
  (void)state;
  train("seed1", "--dtype fp32 --threads 1 --seed 1");
  train("seed2", "--dtype fp32 --threads 1 --seed 2");
  if (file_is_same("seed1/final/model.safetensors", "seed2/final/model.safetensors"))
    fail_msg("the seed changes nothing");
}

/* The order of sums may differ between thread counts, the numbers hardly. */
static void threads_change_the_last_digits_at_most(void **state) {
  (void)state;
  train("one", "--dtype fp32 --threads 1 --logging-steps 1");
  train("two", "--dtype fp32 --threads 2 --logging-steps 1");
  json_t *a = log_read("one"), *b = log_read("two");
  for (size_t i = 0; i < 18; i++) {
    double x = log_number(json_array_get(a, i), "loss"), y = log_number(json_array_get(b, i), "loss");
    if (!(x - y < 1e-4 && y - x < 1e-4)) fail_msg("step %zu: loss %.9g with one thread, %.9g with two", i + 1, x, y);
  }
  json_decref(a);
  json_decref(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_same_command_gives_the_same_bytes),
      cmocka_unit_test(watching_changes_nothing),
      cmocka_unit_test(another_seed_is_another_run),
      cmocka_unit_test(threads_change_the_last_digits_at_most),
  };
  return cmocka_run_group_tests(tests, run_setup, scratch_teardown);
}
