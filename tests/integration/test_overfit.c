/* Twenty real proteins, fresh masks in every step: a small model learns them by heart, so that under five other draws
 * of masks its loss comes below 0.2 nats. (Without context nothing gets below 2.9; a mask that leaks, a gradient that
 * is a little wrong or a schedule that is off doesn't get there in time.) In builds that run many times slower,
 * sanitizers, only the beginning is asked for. */
#include <stdio.h>
#include <string.h>

#include "integration/files.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "support/scratch.h"
#include "support/unit.h"

#if PLM_SLOW_BUILD == 2
enum { PROTEINS_LEARNT = 4, RESIDUES = 469, STEPS = 20, WARMUP = 5 };
static const double bound = 3;
#else
enum { PROTEINS_LEARNT = 20, RESIDUES = 2109, STEPS = PLM_SLOW_BUILD ? 60 : 1200, WARMUP = 50 };
static const double bound = PLM_SLOW_BUILD ? 2.95 : 0.2;
#endif

/* The first of proteins.fasta; twenty have 54 to 189 residues, 2,109 together. */
static void write_proteins(void) {
  const char *text = file_read("proteins.fasta"), *end = text;
  FILE *file = fopen(file_path("twenty.fasta"), "w");
  for (int i = 0; i < PROTEINS_LEARNT; i++) end = strchr(end + 1, '>');
  assert_true(fwrite(text, 1, (size_t)(end - text), file) == (size_t)(end - text) && fclose(file) == 0);
}

static void twenty_proteins_are_learnt_by_heart(void **state) {
  (void)state;
  write_proteins();
  run_result r = run_protlm(
      NULL,
      "train --model esm2_t6_8M --num-hidden-layers 4 --hidden-size 128 --num-attention-heads 8 --intermediate-size 256 --train {}/twenty.fasta "
      "--eval {}/twenty.fasta --eval-draws 5 --max-length 256 --batch-tokens 1100 --learning-rate 1.5e-3 --warmup-steps %d --weight-decay 0 "
      "--lr-scheduler-type linear --logging-steps 50 --eval-steps 150 --save-steps 100000 --max-steps %d --threads 2 --output-dir {}/run",
      WARMUP, STEPS);
  run_expect(&r, 0);
  json_t *lines = log_read("run");
  json_t *first = json_array_get(lines, 0), *last = json_array_get(lines, json_array_size(lines) - 1);
  double before = log_number(first, "eval_loss"), after = log_number(last, "eval_loss");
  assert_int_equal(log_count(first, "step"), 0);
  assert_int_equal(log_count(last, "step"), STEPS);
  /* 15 % of the residues, five times */
  double predicted = log_number(last, "eval_count") / (5 * RESIDUES);
  assert_true(predicted > 0.133 && predicted < 0.166);
  printf("evaluation loss %.3f -> %.3f (on <mask> rows %.3f) in %d steps and %.1f s\n", before, after,
         log_number(last, "eval_loss_masked"), STEPS, r.seconds);
  assert_true(before > 3);
  if (!(after < bound))
    fail_msg("an evaluation loss of %.3f after %d steps; %.2f or less was due\n%s", after, STEPS, bound, r.err);
  json_decref(lines);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(twenty_proteins_are_learnt_by_heart)};
  return cmocka_run_group_tests(tests, run_setup, scratch_teardown);
}
