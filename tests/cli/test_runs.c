/* Output directories, locks, rights, names, configurations and endings of real (tiny) runs. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/program.h"
#include "support/scratch.h"
#include "support/unit.h"

#define TINY \
  "--model esm2_t6_8M --num-hidden-layers 1 --hidden-size 16 --num-attention-heads 2 --batch-tokens 64 --max-length 32 --threads 1 "

static void make_data(void) {
  scratch_write_text(
      "data.fasta",
      ">a\nMKVLAGIPDEMKTAYIAKQR\n>b\nMKTAYIAKQRQISFVKSHFS\n>c\nGSHMRQLEERLGLIEVQAPI\n>d\nMENFQKVEKIGEGTYGVVYK\n");
}

/* train TINY on the data with `more` options; "OUT" stands for the directory `out` of the scratch. */
static program_result train(const program_options *options, const char *out, const char *more) {
  char line[2048];
  make_data();
  snprintf(line, sizeof line, "train " TINY "--train %s --output-dir {} %s", scratch_path("data.fasta"), more);
  return program_line(options, line, scratch_path(out));
}

static void expect_answer(const program_result *r, int code, const char *words) {
  program_expect(r, code);
  program_expect_words(r, r->err, words);
  program_expect_words(r, r->err, "protlm: ");
}

static bool exists(const char *name) { return access(scratch_path(name), F_OK) == 0; }

/* ---- output directories ---- */

static void an_output_directory_that_is_a_file_is_refused(void **state) {
  (void)state;
  scratch_write_text("occupied", "precious");
  program_result r = train(NULL, "occupied", "--max-steps 2");
  expect_answer(&r, 6, "occupied");
  assert_string_equal(scratch_read("occupied"), "precious");
}

static void a_directory_of_somebody_elses_is_left_alone(void **state) {
  (void)state;
  mkdir(scratch_path("theirs"), 0755);
  scratch_write_text("theirs/thesis.txt", "precious");
  program_result r = train(NULL, "theirs", "--max-steps 2");
  expect_answer(&r, 2, "theirs");
  assert_string_equal(scratch_read("theirs/thesis.txt"), "precious");
  assert_int_equal(rmdir(scratch_path("theirs")), -1);
  remove(scratch_path("theirs/thesis.txt"));
  assert_int_equal(rmdir(scratch_path("theirs")), 0); /* nothing was added */
}

static void a_directory_that_cannot_be_written_is_named(void **state) {
  static const program_options nobody = {.as_nobody = true};
  (void)state;
  chmod(scratch_path(""), 0755);
  mkdir(scratch_path("closed"), 0555);
  program_result r = train(&nobody, "closed/run", "--max-steps 2 --cache-dir /tmp");
  expect_answer(&r, 6, "closed");
  r = train(&nobody, "closed", "--max-steps 2 --cache-dir /tmp");
  expect_answer(&r, 6, "closed");
}

static void files_that_cannot_be_read_are_named(void **state) {
  static const program_options nobody = {.as_nobody = true};
  (void)state;
  chmod(scratch_path(""), 0755);
  scratch_write_text("secret.fasta", ">a\nMKV\n");
  chmod(scratch_path("secret.fasta"), 0);
  program_result r = program_line(&nobody, "inspect tokens --fasta {}", scratch_path("secret.fasta"));
  expect_answer(&r, 3, "secret.fasta");
}

static void a_missing_file_and_a_directory_are_told_apart(void **state) {
  (void)state;
  program_result r = program_line(NULL, "inspect tokens --fasta {}", scratch_path("nowhere.fasta"));
  expect_answer(&r, 3, "no such file");
  r = program_line(NULL, "inspect tokens --fasta {}", scratch_path(""));
  expect_answer(&r, 3, "directory");
}

/* ---- locks and signals ---- */

/* A run that goes on until it is told to stop. */
static pid_t start_long_run(const char *out) {
  make_data();
  pid_t child = fork();
  if (child != 0) return child;
  if (freopen("/dev/null", "w", stderr) == NULL || freopen("/dev/null", "w", stdout) == NULL) _exit(126);
  char command[3000];
  snprintf(command, sizeof command,
           "exec '%s' train " TINY "--train '%s' --output-dir '%s' --max-steps 100000000 --logging-steps 1", PROTLM,
           scratch_path("data.fasta"), scratch_path(out));
  execl("/bin/sh", "sh", "-c", command, (char *)NULL);
  _exit(126);
}

static void wait_for_first_step(const char *out) {
  char log[256];
  snprintf(log, sizeof log, "%s/log.jsonl", out);
  for (int i = 0; i < 3000 && strstr(scratch_read(log), "\"loss\"") == NULL; i++) usleep(20000);
  assert_non_null(strstr(scratch_read(log), "\"loss\""));
}

static void a_run_in_use_is_refused_and_a_signal_ends_it_in_good_order(void **state) {
  (void)state;
  int status;
  pid_t running = start_long_run("busy");
  wait_for_first_step("busy");
  program_result r = train(NULL, "busy", "--max-steps 100000000");
  kill(running, SIGTERM);
  assert_true(waitpid(running, &status, 0) == running);
  expect_answer(&r, 2, "busy");
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 75);
  r = program_line(NULL, "ckpt verify {}", scratch_path("busy"));
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "good");
}

/* ---- data ---- */

static void sequences_without_a_residue_to_predict_are_refused_at_once(void **state) {
  (void)state;
  scratch_write_text("unknown.fasta", ">a\nXXXXXXXX\n>b\nXXBXX\n");
  program_result r =
      program_line(NULL, "train " TINY "--max-steps 2 --train {} --output-dir {}.run", scratch_path("unknown.fasta"));
  expect_answer(&r, 3, "no residue of the training sequences can be predicted");
  program_expect_words(&r, r.err, "--mask-nonstandard");
  char more[1200];
  snprintf(more, sizeof more, "--max-steps 2 --no-eval-on-start --eval %s", scratch_path("unknown.fasta"));
  r = train(NULL, "unknown.run", more);
  expect_answer(&r, 3, "no residue of the evaluation sequences can be predicted");
  assert_false(exists("unknown.run"));
  r = program_line(NULL, "train " TINY "--max-steps 2 --mask-nonstandard --train {} --output-dir {}.run",
                   scratch_path("unknown.fasta"));
  program_expect(&r, 0);
}

/* ---- what a shell or a site may have set ---- */

static void closed_standard_files_do_not_receive_the_runs_own(void **state) {
  static const char *const closed[] = {">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"};
  (void)state;
  make_data();
  for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
    char command[3000], log[64];
    snprintf(command, sizeof command,
             "'%s' train " TINY "--train '%s' --max-steps 2 --logging-steps 1 --output-dir '%s%zu' %s", PROTLM,
             scratch_path("data.fasta"), scratch_path("closed"), i, closed[i]);
    if (system(command) < 0) abort();
    snprintf(log, sizeof log, "closed%zu/log.jsonl", i);
    const char *text = scratch_read(log);
    int lines = 0;
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n', lines++)
      assert_int_equal(*line, '{');
    assert_int_equal(lines, 2);
  }
}

static void a_limit_on_file_sizes_is_an_error_not_a_signal(void **state) {
  (void)state;
  make_data();
  char command[3000];
  snprintf(command, sizeof command,
           "ulimit -f 8; exec '%s' train " TINY "--train '%s' --max-steps 2 --save-steps 1 --output-dir '%s' 2>'%s'",
           PROTLM, scratch_path("data.fasta"), scratch_path("limited"), scratch_path("limited.err"));
  int status = system(command);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 6);
  assert_non_null(strstr(scratch_read("limited.err"), "File too large"));
  assert_false(exists("limited/checkpoint-1"));
}

/* A run of two steps that may have so many MiB of addresses; its exit code, or 128 + signal. What it said is in the
 * file addresses.err. */
static int train_within(int mebibytes) {
  char command[3000];
  snprintf(command, sizeof command,
           "ulimit -v %d; '%s' train " TINY "--train '%s' --max-steps 2 --output-dir '%s' 2>'%s'; exit $?",
           1024 * mebibytes, PROTLM, scratch_path("data.fasta"), scratch_path("addresses"),
           scratch_path("addresses.err"));
  assert_ok(plm_tree_remove(scratch_path("addresses")));
  int status = system(command);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/* Schedulers limit memory this way, and libraries that write code while running don't expect it. */
static void too_few_addresses_are_an_error_not_a_signal(void **state) {
  enum { SANITIZERS_NEED_MORE_THAN = 4000 };
  (void)state;
  make_data();
  if (train_within(SANITIZERS_NEED_MORE_THAN) != 0) skip();
  for (int mebibytes = 160; mebibytes <= 700; mebibytes += 60) {
    int code = train_within(mebibytes);
    const char *said = scratch_read("addresses.err");
    bool is_told = strstr(said, "out of resources") != NULL;
    if (!(code == 6 ? is_told : code == 0)) fail_msg("with %d MiB: exit code %d and\n%s", mebibytes, code, said);
  }
}

static void fewer_threads_than_asked_for_are_refused_and_never_asked_for_by_default(void **state) {
  static const char *const limited[] = {"OMP_THREAD_LIMIT=1", NULL};
  static const program_options options = {.environment = limited};
  (void)state;
  scratch_write_text("two.fasta", ">a\nMKVLAGIPDEMKTAYIAKQR\n");
  program_result r = program_line(&options, "info", NULL);
  program_expect(&r, 0);
  bool has_openmp = strstr(r.out, "threads_from             OpenMP") !=
                    NULL; /* else a pool of our own, which the limit doesn't touch */
  r = program_line(&options, "inspect forward --model esm2_t6_8M --random-weights --fasta {}",
                   scratch_path("two.fasta"));
  program_expect(&r, 0);
  r = program_line(&options, "inspect forward --model esm2_t6_8M --random-weights --threads 2 --fasta {}",
                   scratch_path("two.fasta"));
  if (!has_openmp) {
    program_expect(&r, 0);
    return;
  }
  expect_answer(&r, 6, "1 of 2 threads");
  program_expect_words(&r, r.err, "OMP_THREAD_LIMIT");
}

/* Training without --threads, of so many steps in all; what it said. */
static const char *train_unasked(const program_options *options, const char *steps) {
  char line[2048];
  snprintf(line, sizeof line,
           "train --model esm2_t6_8M --num-hidden-layers 1 --hidden-size 16 --num-attention-heads 2 --batch-tokens 64 "
           "--max-length 32 --allow-change max-steps --train %s --output-dir {} --max-steps %s",
           scratch_path("data.fasta"), steps);
  program_result r = program_line(options, line, scratch_path("unasked"));
  program_expect(&r, 0);
  return r.err;
}

/* Binding by a launcher or taskset limits the threads; a run that began with more says so, and one that may keep its
 * number does. */
static void threads_follow_the_processors_and_a_run_keeps_its_own(void **state) {
  static const char *const wish[] = {"OMP_NUM_THREADS=1", NULL};
  static const program_options wishing = {.environment = wish};
  (void)state;
  cpu_set_t all, one;
  assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
  program_result r = program_line(NULL, "info", NULL);
  if (strstr(r.out, "threads                  1\n") != NULL) skip(); /* there is no more to be had here */
  make_data();
  train_unasked(NULL, "2");
  assert_non_null(strstr(train_unasked(&wishing, "3"), " (as this run began: --threads N changes it)"));
  CPU_ZERO(&one);
  for (size_t cpu = 0; CPU_COUNT(&one) == 0; cpu++)
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  r = program_line(NULL, "info", NULL);
  program_expect_words(&r, r.out, "threads                  1\n");
  program_expect_words(&r, r.out, "threads_why              processor affinity: 1 of ");
  const char *said = train_unasked(NULL, "4");
  assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
  assert_non_null(strstr(said, "threads, and goes on with 1 thread (processor affinity: 1 of "));
  assert_non_null(strstr(said, "on 1 thread (processor affinity: 1 of "));
}

/* ---- names ---- */

static void names_with_spaces_and_accents_work(void **state) {
  (void)state;
  mkdir(scratch_path("my d\xc3\xa9sk"), 0755);
  scratch_write_text("my d\xc3\xa9sk/data.fasta", ">a b\nMKVLAGIPDEMKTAYIAKQR\n>c\nMKTAYIAKQRQISFVKSHFS\n");
  program_result r = program_line(NULL, "train " TINY "--max-steps 2 --train {}/data.fasta --output-dir {}/run",
                                  scratch_path("my d\xc3\xa9sk"));
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "protlm eval --model '"); /* the next command can be pasted into a shell */
  assert_true(exists("my d\xc3\xa9sk/run/final/model.safetensors"));
}

static void one_line_may_hold_five_million_residues(void **state) {
  enum { RESIDUES = 5000000 };
  (void)state;
  char *fasta = malloc(RESIDUES + 8);
  memcpy(fasta, ">long\n", 6);
  for (int i = 0; i < RESIDUES; i++) fasta[6 + i] = "LAGVSERTIDPKQNFYMHWC"[(i * 7 + i / 20) % 20];
  scratch_write("long.fasta", fasta, RESIDUES + 6);
  free(fasta);
  program_result r = program_line(NULL, "inspect tokens --no-ids --fasta {}/long.fasta", scratch_path(""));
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "longest 5000000");
  r = program_line(NULL, "train " TINY "--max-steps 2 --train {}/long.fasta --output-dir {}/from_long",
                   scratch_path(""));
  program_expect(&r, 0);
}

static void a_name_that_is_not_utf8_is_explained(void **state) {
  (void)state;
  scratch_write_text("caf\xe9.fasta", ">a\nMKV\n");
  program_result r = program_line(NULL, "inspect tokens --fasta {}", scratch_path("caf\xe9.fasta"));
  expect_answer(&r, 2, "UTF-8");
}

/* ---- configurations ---- */

/* Without comments, which tell where values came from. */
static void strip_comments(const char *text, char *bare, size_t bytes) {
  size_t used = 0;
  for (const char *line = text; *line != '\0' && used + 2 < bytes;) {
    size_t length = strcspn(line, "\n"), keep = 0;
    while (keep < length && line[keep] != '#') keep++;
    while (keep > 0 && line[keep - 1] == ' ') keep--;
    used += (size_t)snprintf(bare + used, bytes - used, "%.*s\n", (int)keep, line);
    line += length + (line[length] == '\n');
  }
}

static void a_printed_configuration_means_the_same(void **state) {
  (void)state;
  static char first[1 << 15], second[1 << 15];
  program_result r =
      train(NULL, "configured", "--print-config --learning-rate 1e-3 --warmup-steps 0.1 --lr-scheduler-type cosine");
  program_expect(&r, 0);
  strip_comments(r.out, first, sizeof first);
  program_expect_words(&r, r.out, "from command line");
  scratch_write_text("printed.yaml", r.out);
  r = program_line(NULL, "train --config {} --print-config", scratch_path("printed.yaml"));
  program_expect(&r, 0);
  strip_comments(r.out, second, sizeof second);
  assert_string_equal(first, second);
  assert_false(exists("configured"));
  r = program_line(NULL, "train --config {} --max-steps 2", scratch_path("printed.yaml")); /* and can be run */
  program_expect(&r, 0);
  assert_true(exists("configured/final/model.safetensors"));
}

static void sources_win_in_their_order(void **state) {
  static const char *const environment[] = {"PROTLM_SEED=2", "PROTLM_EVAL_STEPS=7", NULL};
  static const program_options with_environment = {.environment = environment};
  (void)state;
  scratch_write_text("weak.yaml", "seed: 1\neval_steps: 5\nlogging-steps: 3\n");
  char line[1024];
  snprintf(line, sizeof line, "train --config %s --seed 9 --print-config", scratch_path("weak.yaml"));
  program_result r = program_line(&with_environment, line, NULL);
  program_expect(&r, 0);
  const char *seed = strstr(r.out, "\nseed:"), *eval = strstr(r.out, "\neval-steps:"),
             *logging = strstr(r.out, "\nlogging-steps:");
  assert_non_null(seed);
  assert_true(strtol(strchr(seed, ':') + 1, NULL, 10) == 9);
  assert_true(strtol(strchr(eval, ':') + 1, NULL, 10) == 7);
  assert_true(strtol(strchr(logging, ':') + 1, NULL, 10) == 3);
}

/* ---- endings ---- */

/* A run's own config.yaml lists everything as it was resolved; what is typed beside it still means what it says. */
static void typed_options_win_over_a_runs_own_configuration(void **state) {
  (void)state;
  char more[1200];
  make_data();
  snprintf(more, sizeof more, "--max-steps 12 --load-best-model-at-end --early-stopping-patience 9 --eval %s",
           scratch_path("data.fasta"));
  program_result r = train(NULL, "first", more);
  program_expect(&r, 0);
  r = program_line(NULL, "inspect batch --config {}/config.yaml --step 2", scratch_path("first"));
  program_expect(&r, 0);
  r = program_line(NULL, "train --config {}/config.yaml --num-train-epochs 7 --dry-run --output-dir {}/other",
                   scratch_path("first"));
  program_expect(&r, 0);
  program_expect_words(&r, r.err, "(7.00 epochs)");
  r = program_line(NULL, "train --config {}/config.yaml --max-steps 1 --dry-run --output-dir {}/other",
                   scratch_path("first"));
  program_expect(&r, 0);
  r = program_line(NULL, "train --config {}/config.yaml --max-steps 3 --warmup-steps 5 --dry-run --output-dir {}/other",
                   scratch_path("first"));
  expect_answer(&r, 2, "--warmup-steps 5");
}

/* The warm-up was the program's choice; nobody is blamed for it when the run is made shorter. */
static void a_run_can_be_made_shorter(void **state) {
  (void)state;
  program_result r = train(NULL, "shorter", "--max-steps 100 --save-steps 4"); /* 8 steps of warm-up */
  program_expect(&r, 0);
  for (int step = 8; step <= 100; step += 4) { /* as if it had been stopped */
    char name[64];
    snprintf(name, sizeof name, "shorter/checkpoint-%d", step);
    assert_ok(plm_tree_remove(scratch_path(name)));
  }
  r = train(NULL, "shorter", "--max-steps 5 --save-steps 4 --allow-change max-steps");
  program_expect(&r, 0);
  program_expect_words(&r, r.err, "warm-up of 8 steps cut to 4");
}

static void the_log_is_lines_when_stderr_is_no_terminal(void **state) {
  (void)state;
  program_result r = train(NULL, "logged", "--max-steps 6 --logging-steps 2");
  program_expect(&r, 0);
  program_expect_words(&r, r.err, "step 2/6");
  program_expect_words(&r, r.err, "step 6/6");
  assert_null(strchr(r.err, '\r'));
  assert_null(strchr(r.err, '\033'));
}

static void a_finished_run_says_so_and_ends_well(void **state) {
  (void)state;
  program_result r = train(NULL, "done", "--max-steps 3 --eval-fraction 0.5");
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "Finished: reached --max-steps 3");
  program_expect_words(&r, r.out, "Next:");
  r = train(NULL, "done", "--max-steps 3 --eval-fraction 0.5");
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "Already finished");
  r = program_line(NULL, "eval --model {}/done/final --data {}/data.fasta --quiet", scratch_path(""));
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "perplexity");
  r = program_line(NULL, "report {}/done", scratch_path(""));
  program_expect(&r, 0);
  r = program_line(NULL, "ckpt ls {}/done", scratch_path(""));
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "checkpoint-3");
}

static void a_final_that_is_a_link_to_nowhere_is_replaced(void **state) {
  (void)state;
  mkdir(scratch_path("moved"), 0755);
  program_result r = train(NULL, "moved", "--max-steps 2 --save-steps 1");
  program_expect(&r, 0);
  assert_int_equal(rename(scratch_path("moved/final"), scratch_path("elsewhere")), 0);
  assert_int_equal(symlink("/no/such/place", scratch_path("moved/final")), 0);
  r = train(NULL, "moved", "--max-steps 2 --save-steps 1");
  program_expect(&r, 0);
  assert_true(exists("moved/final/model.safetensors"));
}

static void a_final_that_was_emptied_is_made_again(void **state) {
  (void)state;
  program_result r = train(NULL, "emptied", "--max-steps 2");
  program_expect(&r, 0);
  assert_int_equal(truncate(scratch_path("emptied/final/model.safetensors"), 0), 0);
  r = train(NULL, "emptied", "--max-steps 2");
  program_expect(&r, 0);
  r = program_line(NULL, "inspect params --model {}/final", scratch_path("emptied"));
  program_expect(&r, 0);
}

/* Names of files and variables are bytes; env.json is UTF-8 all the same, and leaves none of them out. */
static void a_directory_whose_name_is_not_utf8_is_written_down(void **state) {
  (void)state;
  const char *const environment[] = {"SLURM_JOB_NAME=na\xefve", NULL};
  const program_options options = {.directory = scratch_path("caf\xe9"), .environment = environment};
  const char *directory = NULL, *job = NULL;
  json_t *document;
  mkdir(options.directory, 0755);
  program_result r = train(&options, "latin", "--max-steps 2");
  program_expect(&r, 0);
  assert_ok(plm_json_load(scratch_path("latin/env.json"), &document));
  assert_ok(plm_json_get_string(document, "env.json", "directory", true, &directory));
  assert_string_equal(plm_path_name(directory), "caf\xEF\xBF\xBD");
  assert_ok(plm_json_get_string(json_object_get(document, "environment"), "env.json", "SLURM_JOB_NAME", true, &job));
  assert_string_equal(job, "na\xEF\xBF\xBDve");
  json_decref(document);
}

/* Reading the data leaves its packed copy, which the run will use; so it does not say that nothing was written. */
static void a_dry_run_makes_no_run_directory(void **state) {
  (void)state;
  program_result r = train(NULL, "dry", "--max-steps 3 --dry-run");
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "Dry run: nothing was trained, no run directory was made");
  program_expect_words(&r, r.err, "memory:");
  assert_false(exists("dry"));
}

static void changed_options_are_listed_with_the_flag_to_add(void **state) {
  (void)state;
  program_result r = train(NULL, "changed", "--max-steps 3");
  program_expect(&r, 0);
  r = train(NULL, "changed", "--max-steps 5");
  expect_answer(&r, 2, "--allow-change");
  r = train(NULL, "changed", "--max-steps 3 --mask-probability 0.3");
  expect_answer(&r, 2, "mask-probability");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_output_directory_that_is_a_file_is_refused),
      cmocka_unit_test(a_directory_of_somebody_elses_is_left_alone),
      cmocka_unit_test(a_directory_that_cannot_be_written_is_named),
      cmocka_unit_test(files_that_cannot_be_read_are_named),
      cmocka_unit_test(a_missing_file_and_a_directory_are_told_apart),
      cmocka_unit_test(a_run_in_use_is_refused_and_a_signal_ends_it_in_good_order),
      cmocka_unit_test(sequences_without_a_residue_to_predict_are_refused_at_once),
      cmocka_unit_test(closed_standard_files_do_not_receive_the_runs_own),
      cmocka_unit_test(a_limit_on_file_sizes_is_an_error_not_a_signal),
      cmocka_unit_test(too_few_addresses_are_an_error_not_a_signal),
      cmocka_unit_test(fewer_threads_than_asked_for_are_refused_and_never_asked_for_by_default),
      cmocka_unit_test(threads_follow_the_processors_and_a_run_keeps_its_own),
      cmocka_unit_test(names_with_spaces_and_accents_work),
      cmocka_unit_test(one_line_may_hold_five_million_residues),
      cmocka_unit_test(a_name_that_is_not_utf8_is_explained),
      cmocka_unit_test(a_printed_configuration_means_the_same),
      cmocka_unit_test(sources_win_in_their_order),
      cmocka_unit_test(typed_options_win_over_a_runs_own_configuration),
      cmocka_unit_test(a_run_can_be_made_shorter),
      cmocka_unit_test(the_log_is_lines_when_stderr_is_no_terminal),
      cmocka_unit_test(a_finished_run_says_so_and_ends_well),
      cmocka_unit_test(a_final_that_is_a_link_to_nowhere_is_replaced),
      cmocka_unit_test(a_final_that_was_emptied_is_made_again),
      cmocka_unit_test(a_directory_whose_name_is_not_utf8_is_written_down),
      cmocka_unit_test(a_dry_run_makes_no_run_directory),
      cmocka_unit_test(changed_options_are_listed_with_the_flag_to_add),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
