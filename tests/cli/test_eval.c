/* `protlm eval`: the numbers training measured, sequence by sequence, and what they may not depend on. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/program.h"
#include "support/scratch.h"
#include "support/unit.h"

#define MODEL "--model " PLM_SOURCE_DIR "/tests/fixtures/parity/d16_half_inv_freq --data {}/held_out.fasta --threads 1 "

enum { HELD_OUT = 12 };

static void put_sequence(char *fasta, size_t bytes, size_t *used, int i) {
  *used += (size_t)snprintf(fasta + *used, bytes - *used, ">p%d\n", i);
  for (int j = 0; j < 12 + 3 * i && *used + 2 < bytes; j++)
    fasta[(*used)++] = "LAGVSERTIDPKQNFYMHWC"[(i * 11 + j * (7 + i % 3) + j * j) % 20];
  fasta[(*used)++] = '\n';
}

static void write_sequences(const char *name, int first, int end) {
  char fasta[1 << 13];
  size_t used = 0;
  for (int i = first; i != end; i += end > first ? 1 : -1) put_sequence(fasta, sizeof fasta, &used, i);
  scratch_write(name, fasta, used);
}

static program_result eval(const char *more) {
  char line[1024];
  write_sequences("held_out.fasta", 0, HELD_OUT);
  snprintf(line, sizeof line, "eval " MODEL "%s", more);
  program_result r = program_line(NULL, line, scratch_path(""));
  program_expect(&r, 0);
  return r;
}

/* The member of a JSON line as text. */
static const char *member(const char *json, const char *name, char value[64]) {
  char key[64];
  snprintf(key, sizeof key, "\"%s\":", name);
  const char *at = strstr(json, key);
  if (at == NULL) fail_msg("no %s in %s", name, json);
  at += strlen(key);
  snprintf(value, 64, "%.*s", (int)strcspn(at, ",}"), at);
  return value;
}

static void expect_same(const char *a, const char *b, const char *name) {
  char x[64], y[64];
  if (strcmp(member(a, name, x), member(b, name, y)) != 0) fail_msg("%s: %s and %s", name, x, y);
}

static const char *const measured[] = {"eval_loss",        "eval_loss_se",      "eval_accuracy", "eval_count",
                                       "eval_loss_masked", "eval_count_masked", "gain_masked",   "baseline_frequency",
                                       "baseline_copy",    "gain_masked_se"};

/* ---- tests ---- */

static void eval_gives_what_training_measured(void **state) {
  static char trained[1 << 14];
  (void)state;
  write_sequences("train.fasta", 20, 40);
  write_sequences("held_out.fasta", 0, HELD_OUT);
  program_result r = program_line(
      NULL,
      "train --model esm2_t6_8M --num-hidden-layers 2 --hidden-size 32 --num-attention-heads 2 --train {}/train.fasta --eval {}/held_out.fasta "
      "--output-dir {}/run --max-steps 4 --batch-tokens 300 --max-length 40 --dtype fp32 --threads 1",
      scratch_path(""));
  program_expect(&r, 0);
  snprintf(trained, sizeof trained, "%s", scratch_read("run/log.jsonl"));
  const char *last = strstr(trained, "\"step\":4,"), *next;
  while (last != NULL && (next = strstr(last + 1, "\"step\":4,")) != NULL) last = next;
  assert_non_null(last);
  r = program_line(
      NULL,
      "eval --model {}/run/final --data {}/held_out.fasta --train {}/train.fasta --max-length 40 --threads 1 --json",
      scratch_path(""));
  program_expect(&r, 0);
  for (size_t i = 0; i < sizeof measured / sizeof *measured; i++) expect_same(r.out, last, measured[i]);
}

static void lines_of_sequences_add_up(void **state) {
  char json[64];
  (void)state;
  program_result r = eval("--json");
  double loss = strtod(member(r.out, "eval_loss", json), NULL), count = strtod(member(r.out, "eval_count", json), NULL);
  r = eval("--per-sequence");
  char *line = strtok((char *)(uintptr_t)r.out, "\n");
  assert_string_equal(line, "name\tlength\tnll\tperplexity\taccuracy\tcount\tscored");
  double sum = 0, rows = 0;
  for (int i = 0; i < HELD_OUT; i++) {
    char name[16], expected[16];
    double length, nll, perplexity, accuracy, n, scored;
    line = strtok(NULL, "\n");
    assert_non_null(line);
    assert_int_equal(
        sscanf(line, "%15s %lf %lf %lf %lf %lf %lf", name, &length, &nll, &perplexity, &accuracy, &n, &scored), 7);
    snprintf(expected, sizeof expected, "p%d", i);
    assert_string_equal(name, expected);
    assert_true(length == 12 + 3 * i && scored == length);
    assert_true(fabs(perplexity - exp(nll)) < 1e-3 * perplexity);
    sum += nll * n;
    rows += n;
  }
  assert_null(strtok(NULL, "\n"));
  assert_true(rows == count);
  assert_true(fabs(sum / rows - loss) < 1e-5);
}

/* Windows of 20 tokens: at most 20 residues, 19 at an end of the protein, never a special token. */
static void a_cropped_sequence_keeps_its_length(void **state) {
  int shorter = 0;
  (void)state;
  program_result r = eval("--per-sequence --max-length 20 --eval-seed 2");
  program_expect_words(
      &r, r.err,
      "held_out.fasta: 9 of 12 sequences are longer than --max-length 20 and are cropped to at most 20 "
      "residues, the same ones each time");
  char *line = strtok((char *)(uintptr_t)r.out, "\n");
  for (int i = 0; i < HELD_OUT; i++) {
    long long length, scored;
    line = strtok(NULL, "\n");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "%*s %lld %*s %*s %*s %*s %lld", &length, &scored), 2);
    assert_int_equal(length, 12 + 3 * i);
    if (length <= 18) assert_int_equal(scored, length);
    if (length > 18) assert_true(scored == 19 || scored == 20);
    shorter += length > 18 && scored == 19;
  }
  assert_true(shorter > 0 && shorter < 9);
  r = eval("--per-sequence");
  assert_null(strstr(r.err, "cropped"));
}

static void a_sequence_without_rows_has_a_length(void **state) {
  (void)state;
  scratch_write_text("odd.fasta", ">a\nXXXX\n>b\nMKVLAG\n");
  program_result r = program_line(NULL,
                                  "eval --model " PLM_SOURCE_DIR
                                  "/tests/fixtures/parity/d16_half_inv_freq --data {}/odd.fasta --per-sequence",
                                  scratch_path(""));
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "\na\t4\tNA\tNA\tNA\t0\t4\n");
}

static void masks_that_hide_less_than_a_residue_are_told(void **state) {
  (void)state;
  program_result r = eval("--json --mask-probability 0.001");
  program_expect_words(&r, r.err, "--mask-probability 0.001 is less than one residue in 12 of 12 sequences");
  r = eval("--json");
  assert_null(strstr(r.err, "less than one residue"));
}

static void the_order_of_the_file_does_not_matter(void **state) {
  char forward[4096];
  (void)state;
  program_result r = eval("--json");
  snprintf(forward, sizeof forward, "%s", r.out);
  write_sequences("held_out.fasta", HELD_OUT - 1, -1);
  r = program_line(NULL, "eval " MODEL "--json", scratch_path(""));
  program_expect(&r, 0);
  for (size_t i = 0; i < sizeof measured / sizeof *measured; i++) {
    char a[64], b[64];
    double x = strtod(member(forward, measured[i], a), NULL), y = strtod(member(r.out, measured[i], b), NULL);
    if (!(fabs(x - y) <= 1e-8 * fmax(1, fabs(x)))) fail_msg("%s: %s and %s", measured[i], a, b);
  }
}

static void masks_follow_seed_and_protocol(void **state) {
  char plain[4096], a[64], b[64];
  (void)state;
  program_result r = eval("--json");
  snprintf(plain, sizeof plain, "%s", r.out);
  r = eval("--json --eval-seed 5");
  assert_string_not_equal(member(plain, "eval_loss", a), member(r.out, "eval_loss", b));
  r = eval("--json --eval-draws 3");
  assert_true(strtod(member(r.out, "eval_count", b), NULL) > 2 * strtod(member(plain, "eval_count", a), NULL));
  r = eval("--json --mask-probability 0.5");
  assert_true(strtod(member(r.out, "eval_count", b), NULL) > 2 * strtod(member(plain, "eval_count", a), NULL));
  r = eval("--json --protocol hf");
  assert_string_not_equal(member(plain, "eval_loss", a), member(r.out, "eval_loss", b));
  r = eval("--json --protocol hf --random-tokens vocab");
  program_expect(&r, 0);
}

static void results_go_where_they_are_sent(void **state) {
  (void)state;
  program_result r = eval("--output {}/scores.txt");
  assert_string_equal(r.out, "");
  program_expect_words(&r, scratch_read("scores.txt"), "by residue frequencies");
  r = eval("--per-sequence --output {}/scores.txt"); /* replaces it */
  assert_string_equal(r.out, "");
  program_expect_words(&r, scratch_read("scores.txt"), "name\tlength");
  r = eval("");
  program_expect_words(&r, r.out, "standard errors");
}

static void a_preset_needs_random_weights(void **state) {
  (void)state;
  write_sequences("held_out.fasta", 0, HELD_OUT);
  program_result r =
      program_line(NULL, "eval --model esm2_t6_8M --random-weights --data {}/held_out.fasta", scratch_path(""));
  program_expect(&r, 0);
  program_expect_words(&r, r.err, "random weights");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(eval_gives_what_training_measured),
      cmocka_unit_test(lines_of_sequences_add_up),
      cmocka_unit_test(the_order_of_the_file_does_not_matter),
      cmocka_unit_test(masks_follow_seed_and_protocol),
      cmocka_unit_test(results_go_where_they_are_sent),
      cmocka_unit_test(a_preset_needs_random_weights),
      cmocka_unit_test(a_cropped_sequence_keeps_its_length),
      cmocka_unit_test(a_sequence_without_rows_has_a_length),
      cmocka_unit_test(masks_that_hide_less_than_a_residue_are_told),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
