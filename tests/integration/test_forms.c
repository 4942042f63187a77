/* The forms data and settings may come in: each gives the same run. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "integration/files.h"
#include "integration/logs.h"
#include "integration/run.h"
#include "integration/tiny.h"
#include "support/scratch.h"
#include "support/unit.h"

#define REST TINY_MODEL " " TINY_BATCH " --threads 1 --dtype fp32 --logging-steps 1 --max-steps 6 --save-steps 3"

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...) {
  char command[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(command, sizeof command, format, args);
  va_end(args);
  if (system(command) != 0) fail_msg("%s", command);
}

static void expect_same_run(const char *a, const char *b) {
  file_expect_same_tensors(file_path("%s/checkpoint-6", a), file_path("%s/checkpoint-6", b));
  log_expect_same(a, b);
}

/* Plain, gzip, standard input, two files, CRLF, lower case, a packed file as train caches it. */
static void every_form_of_fasta_gives_the_same_run(void **state) {
  (void)state;
  run_result r = run_protlm(NULL, "train " REST " --train {}/proteins.fasta --output-dir {}/plain");
  run_expect(&r, 0);
  shell(
      "cd %s && gzip -kn proteins.fasta && sed 's/$/\\r/' proteins.fasta >crlf.fasta && awk '/^>/{n++} n<=13' proteins.fasta >first.fasta && "
      "awk '/^>/{n++} n>13' proteins.fasta >second.fasta && sed '/^>/!s/.*/\\L&/' proteins.fasta >lower.fasta",
      scratch_path(""));
  static const char *const forms[][2] = {
      {"gzip", "--train {}/proteins.fasta.gz"},    {"crlf", "--train {}/crlf.fasta"},
      {"lower", "--train {}/lower.fasta"},         {"parts", "--train {}/first.fasta --train {}/second.fasta"},
      {"alias", "--train-file {}/proteins.fasta"}, {"underscore", "--train_file {}/proteins.fasta"},
  };
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    r = run_protlm(NULL, "train " REST " %s --output-dir {}/%s", forms[i][1], forms[i][0]);
    run_expect(&r, 0);
    expect_same_run("plain", forms[i][0]);
  }
  const run_options from_stdin = {.input = file_path("proteins.fasta")};
  r = run_protlm(&from_stdin, "train " REST " --train - --output-dir {}/stdin");
  run_expect(&r, 0);
  expect_same_run("plain", "stdin");
}

/* Killed half-way and fed again, a run from standard input goes on. */
static void standard_input_can_be_resumed(void **state) {
  (void)state;
  file_remove_tree("stdin/checkpoint-6");
  file_remove_tree("stdin/final");
  const run_options from_stdin = {.input = file_path("proteins.fasta")};
  run_result r = run_protlm(&from_stdin, "train " REST " --train - --output-dir {}/stdin");
  run_expect(&r, 0);
  assert_int_equal(run_steps_of(r.err).first, 4);
  expect_same_run("plain", "stdin");
}

static void hdf5_gives_the_run_of_its_fasta(void **state) {
  (void)state;
  file_copy(FIXTURES "/hdf5/variable.h5", "variable.h5");
  file_copy(FIXTURES "/hdf5/fixed.h5", "fixed.h5");
  file_copy(FIXTURES "/hdf5/sequences.fasta", "sequences.fasta");
  run_result r = run_protlm(NULL, "train " REST " --train {}/variable.h5 --output-dir {}/variable");
  if (r.code != 0 && strstr(r.err, "this build of protlm has no HDF5") != NULL) {
    print_message("this build has no HDF5\n");
    skip();
  }
  run_expect(&r, 0);
  r = run_protlm(NULL, "train " REST " --train-hdf5-file {}/fixed.h5 --output-dir {}/fixed");
  run_expect(&r, 0);
  r = run_protlm(NULL, "train " REST " --train {}/sequences.fasta --output-dir {}/fasta");
  run_expect(&r, 0);
  expect_same_run("fasta", "variable");
  expect_same_run("fasta", "fixed");
}

/* ---- settings ---- */

static void config_yaml_repeats_the_run(void **state) {
  (void)state;
  run_result r = run_protlm(
      NULL,
      "train " REST
      " --train {}/proteins.fasta --eval {}/proteins.fasta --eval-steps 2 --mask-probability 0.2 --weight-decay 0.05 "
      "--lr-scheduler-type cosine --warmup-steps 0.3 --eval-draws 2 --save-total-limit 3 --output-dir {}/origin");
  run_expect(&r, 0);
  file_copy("origin/config.yaml", "run.yaml");
  r = run_protlm(NULL, "train --config {}/run.yaml --output-dir {}/repeated");
  run_expect(&r, 0);
  expect_same_run("origin", "repeated");
  /* With nothing else it means the run it came from. */
  r = run_protlm(NULL, "train --config {}/run.yaml");
  run_expect(&r, 0);
  run_expect_words(&r, r.out, "Already finished");
  /* A flag wins over the file. */
  r = run_protlm(NULL, "train --config {}/run.yaml --max-steps 3 --output-dir {}/short");
  run_expect(&r, 0);
  assert_int_equal(run_steps_of(r.err).last, 3);
}

/* flag > PROTLM_* > --config > default */
static void the_environment_stands_between_flags_and_file(void **state) {
  (void)state;
  static const char *const environment[] = {"PROTLM_MAX_STEPS=3", "PROTLM_SEED=11", NULL};
  const run_options options = {.environment = environment};
  file_write("half.yaml", "max-steps: 5\nsave-steps: 1\n");
  run_result r = run_protlm(
      &options, "train " TINY_MODEL " " TINY_BATCH
                " --train {}/proteins.fasta --logging-steps 1 --threads 1 --dtype fp32 --config {}/half.yaml --seed 12 "
                "--output-dir {}/environment");
  run_expect(&r, 0);
  assert_int_equal(run_steps_of(r.err).last, 3);
  assert_int_equal(file_count_checkpoints("environment"), 3);
  long seed = 0;
  const char *line = strstr(file_read("environment/config.yaml"), "\nseed:");
  if (line == NULL || sscanf(line, "\nseed: %ld", &seed) != 1 || seed != 12)
    fail_msg("%s", file_read("environment/config.yaml"));
}

/* Only the packed form of the data is made, which the run will want. */
static void a_dry_run_touches_no_run(void **state) {
  (void)state;
  shell("mkdir %s", file_path("dry"));
  file_copy("proteins.fasta", "dry/proteins.fasta");
  uint64_t before = file_fingerprint("dry");
  run_result r = run_protlm(
      NULL, "train " REST " --train {}/dry/proteins.fasta --dry-run --output-dir {}/dry/run --cache-dir {}/elsewhere");
  run_expect(&r, 0);
  run_expect_words(&r, r.out, "Dry run");
  run_expect_words(&r, r.err, "memory:");
  run_expect_words(&r, r.err, "steps: 6");
  if (before != file_fingerprint("dry")) fail_msg("it left %s", file_list("dry", NULL));
  r = run_protlm(NULL, "train " REST " --train {}/dry/proteins.fasta --dry-run");
  run_expect(&r, 0);
  uint64_t run = file_fingerprint("plain");
  r = run_protlm(NULL, "train " REST " --train {}/proteins.fasta --dry-run --output-dir {}/plain");
  run_expect(&r, 0);
  assert_true(run == file_fingerprint("plain"));
}

/* A checkpoint, and final/, are models: to evaluate, to look into, to train on from. */
static void results_are_models(void **state) {
  (void)state;
  run_result r = run_protlm(NULL, "eval --model {}/plain/checkpoint-6 --data {}/proteins.fasta");
  run_expect(&r, 0);
  r = run_protlm(NULL, "inspect forward --model {}/plain/final --fasta {}/first.fasta");
  run_expect(&r, 0);
  r = run_protlm(
      NULL,
      "train --model {}/plain/final " TINY_BATCH
      " --train {}/proteins.fasta --threads 1 --dtype fp32 --logging-steps 1 --max-steps 2 --output-dir {}/onward");
  run_expect(&r, 0);
  r = run_protlm(NULL, "ckpt verify {}/plain {}/onward/checkpoint-2");
  run_expect(&r, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_form_of_fasta_gives_the_same_run),
      cmocka_unit_test(standard_input_can_be_resumed),
      cmocka_unit_test(hdf5_gives_the_run_of_its_fasta),
      cmocka_unit_test(config_yaml_repeats_the_run),
      cmocka_unit_test(the_environment_stands_between_flags_and_file),
      cmocka_unit_test(a_dry_run_touches_no_run),
      cmocka_unit_test(results_are_models),
  };
  return cmocka_run_group_tests(tests, run_setup, scratch_teardown);
}
