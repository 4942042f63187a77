/* Numbers that are not finite: the update is left out, then the run stops with exit code 5 and names the sequences;
 * never is anything of it saved. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integration/files.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

/* The first update makes weights of 1e3; the loss and gradient then leave fp32 within a few steps. --learning-rate
 * takes no more than 1e3.
 */
#define EXPLODE_ON(data)                                                                                              \
  "train " TINY_MODEL " " data                                                                                        \
  " --max-length 256 --batch-tokens 512 --micro-batch-tokens 300 --logging-steps 1 --threads 1 --learning-rate 1000 " \
  "--lr-scheduler-type constant --max-grad-norm 0 --max-steps 200 --save-steps 1"
#define EXPLODE EXPLODE_ON(TINY_DATA)

/* All values of a safetensors file of F32 tensors are finite. */
static void expect_finite(const char *path) {
  FILE *file = fopen(file_path("%s", path), "rb");
  uint64_t header = 0, count = 0;
  float value;
  if (file == NULL || fread(&header, sizeof header, 1, file) != 1 || fseek(file, (long)header, SEEK_CUR) != 0)
    fail_msg("%s can't be read", path);
  for (; fread(&value, sizeof value, 1, file) == 1; count++)
    if (!isfinite(value)) fail_msg("%s: value %llu is %g", path, (unsigned long long)count, (double)value);
  fclose(file);
  assert_true(count > 1000);
}

static void expect_finite_checkpoints(const char *run) {
  for (int step = 1; step <= 200; step++) {
    if (!file_exists(file_path("%s/checkpoint-%d", run, step))) continue;
    expect_finite(file_path("%s/checkpoint-%d/model.safetensors", run, step));
    expect_finite(file_path("%s/checkpoint-%d/optimizer.safetensors", run, step));
  }
}

static void check_stop(const char *dtype, const char *run) {
  run_result r = run_protlm(NULL, EXPLODE " --dtype %s --output-dir {}/%s", dtype, run);
  run_expect(&r, 5);
  run_expect_words(&r, r.err, "not finite");
  run_expect_words(&r, r.err, "--learning-rate");
  run_expect_words(&r, r.err, "nonfinite-");
  expect_finite_checkpoints(run);
  if (strstr(file_list(run, NULL), "final/") != NULL) fail_msg("final/ was written");
}

static void an_exploding_run_stops(void **state) {
  (void)state;
  check_stop("fp32", "fp32");
  check_stop("bf16", "bf16");
}

/* The file that is named lists the sequences of the step, by number, name and crop. */
static void the_batch_is_named(void **state) {
  (void)state;
  const char *names = file_list("fp32", NULL), *at = strstr(names, "nonfinite-");
  if (at == NULL) fail_msg("no nonfinite-<step>.json in %s", names);
  json_error_t error;
  json_t *document = json_load_file(file_path("fp32/%.*s", (int)strcspn(at, " "), at), 0, &error);
  json_t *sequences = json_object_get(document, "sequences");
  if (!json_is_array(sequences) || json_array_size(sequences) == 0) fail_msg("no sequences in it");
  json_t *first = json_array_get(sequences, 0);
  char header[128];
  snprintf(header, sizeof header, ">%s\n", json_string_value(json_object_get(first, "name")));
  if (strstr(file_read("proteins.fasta"), header) == NULL) fail_msg("%s is no protein of the training data", header);
  assert_true(json_is_integer(json_object_get(first, "sequence_id")));
  json_decref(document);
}

/* Names in a FASTA are bytes: Latin-1 is named too, what is no UTF-8 by its number. */
static void a_batch_of_names_that_are_not_utf8_is_named(void **state) {
  (void)state;
  static char latin[1 << 20];
  size_t used = 0, i;
  for (const char *p = file_read("proteins.fasta"); *p != '\0'; p++) {
    assert_true(used + 4 < sizeof latin);
    latin[used++] = *p;
    if (*p == '>') latin[used++] = '\xe9';
  }
  file_write("latin.fasta", latin);
  run_result r = run_protlm(NULL, EXPLODE_ON("--train {}/latin.fasta") " --dtype fp32 --output-dir {}/latin");
  run_expect(&r, 5);
  const char *at = strstr(r.err, "nonfinite-");
  if (at == NULL) fail_msg("no file is named: %s", r.err);
  json_error_t error;
  json_t *document = json_load_file(file_path("latin/%.*s", (int)strcspn(at, " \n"), at), 0, &error), *sequence;
  if (json_array_size(json_object_get(document, "sequences")) == 0) fail_msg("no sequences in it");
  json_array_foreach(json_object_get(document, "sequences"), i, sequence)
      assert_int_equal(strncmp(json_string_value(json_object_get(sequence, "name")), "\\xe9", 4), 0);
  json_decref(document);
}

/* Steps whose update was left out are logged with null for what was not finite. */
static void the_log_says_null(void **state) {
  (void)state;
  json_t *lines = log_read("fp32"), *line;
  size_t i, nulls = 0;
  json_array_foreach(lines, i, line) {
    if (json_is_null(json_object_get(line, "loss"))) nulls++;
    if (nulls > 0)
      assert_true(json_is_null(json_object_get(line, "loss")) && json_is_null(json_object_get(line, "grad_norm")));
  }
  assert_int_equal(nulls, 4); /* the fifth in a row ended the run */
  const char *text = file_read("fp32/log.jsonl");
  if (strstr(text, "nan") != NULL || strstr(text, "inf") != NULL) fail_msg("log.jsonl has numbers that are not JSON");
  json_decref(lines);
}

#define AT_RATE(rate)                                                                                         \
  "train " TINY_MODEL " " TINY_DATA                                                                           \
  " --max-length 256 --batch-tokens 512 --micro-batch-tokens 300 --logging-steps 1 --threads 1 --dtype fp32 " \
  "--lr-scheduler-type constant --max-grad-norm 0 --learning-rate " rate

/* As the remedy that is given says; and nothing of the failed steps is left in what follows. */
static void a_lower_rate_goes_on_from_the_last_good(void **state) {
  (void)state;
  assert_int_equal(run_protlm(NULL, AT_RATE("2e-3") " --max-steps 10 --output-dir {}/whole").code, 0);
  assert_int_equal(run_protlm(NULL, AT_RATE("2e-3") " --max-steps 5 --output-dir {}/burnt").code, 0);
  run_result r = run_protlm(
      NULL,
      AT_RATE("1000") " --max-steps 200 --save-steps 200 --allow-change learning-rate,max-steps --output-dir {}/burnt");
  run_expect(&r, 5);
  run_expect_words(&r, r.err, "--allow-change learning-rate");
  assert_int_equal(file_newest_checkpoint("burnt"), 5);
  r = run_protlm(NULL, AT_RATE("2e-3") " --max-steps 10 --allow-change learning-rate,max-steps --output-dir {}/burnt");
  run_expect(&r, 0);
  file_expect_same_tensors("whole/checkpoint-10", "burnt/checkpoint-10");
  log_expect_each_step_once(file_path("burnt"), 1, 10);
}

static void a_rate_that_no_update_survives_is_refused(void **state) {
  (void)state;
  run_result r = run_protlm(NULL, "train " TINY_MODEL " " TINY_DATA " --learning-rate 1e30 --output-dir {}/absurd");
  run_expect(&r, 2);
  run_expect_words(&r, r.err, "--learning-rate");
  assert_false(file_exists("absurd"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_exploding_run_stops),
      cmocka_unit_test(the_batch_is_named),
      cmocka_unit_test(a_batch_of_names_that_are_not_utf8_is_named),
      cmocka_unit_test(the_log_says_null),
      cmocka_unit_test(a_lower_rate_goes_on_from_the_last_good),
      cmocka_unit_test(a_rate_that_no_update_survives_is_refused),
  };
  return cmocka_run_group_tests(tests, run_setup, scratch_teardown);
}
