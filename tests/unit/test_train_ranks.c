/* Whole runs on several ranks, which are threads of this process: no rank fails alone, and what rank 0 decides or reads
 * is everybody's. */
#include "support/unit.h"
#include "support/warnings.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "dist/agree.h"
#include "protlm/train.h"
#include "support/scratch.h"
#include "support/transport_threads.h"

static const char *const tiny[] = {
    "--model",   "esm2_t6_8M", "--num-hidden-layers", "1",   "--hidden-size",   "16",  "--num-attention-heads", "2",
    "--threads", "1",          "--max-length",        "256", "--batch-tokens",  "512", "--micro-batch-tokens",  "512",
    "--dtype",   "fp32",       "--save-steps",        "2",   "--logging-steps", "1",   "--max-steps",           "4",
};
enum { TINY = sizeof tiny / sizeof *tiny, MOST = TINY + 32, RANKS = 3 };

#define PROTEINS PLM_SOURCE_DIR "/tests/integration/proteins.fasta"

typedef struct start {
  const char *more[24]; /* of every rank; NULL at the end */
  const char *one[2];   /* of rank `odd`, in place of its own or as well; NULL: none */
  int odd;
  bool stops; /* rank 1 is asked to stop when it evaluates */
  plm_train_result results[RANKS];
} start;

static bool is_among(const char *const *words, const char *word) {
  for (; *words != NULL; words++)
    if (strcmp(*words, word) == 0) return true;
  return false;
}

/* One of the tiny run's, that nothing given takes the place of. */
static bool is_wanted(const start *s, const char *name) {
  if (strcmp(name, "--batch-tokens") == 0 && is_among(s->more, "--per-device-train-batch-size")) return false;
  if (is_among(s->more, "--model") && (strstr(name, "-size") != NULL || strstr(name, "num-") != NULL)) return false;
  return !is_among(s->more, name);
}

static void on_phase(void *user, const char *what) {
  (void)user;
  if (strcmp(what, "evaluating") == 0) raise(SIGTERM);
}

static plm_status train(plm_comm *comm, void *context) {
  start *s = context;
  const plm_train_observer observer = {.comm = comm, .phase = s->stops && comm->rank == 1 ? on_phase : NULL};
  char *words[MOST];
  int count = 0;
  plm_option_values *values;
  for (int i = 0; i < TINY; i += 2)
    if (is_wanted(s, tiny[i]))
      for (int j = i; j < i + 2; j++) words[count++] = (char *)(uintptr_t)tiny[j];
  const bool is_odd = comm->rank == s->odd && s->one[0] != NULL;
  for (int i = 0; s->more[i] != NULL; i++) {
    const bool is_replaced = is_odd && i > 0 && strcmp(s->more[i - 1], s->one[0]) == 0;
    words[count++] = (char *)(uintptr_t)(is_replaced ? s->one[1] : s->more[i]);
  }
  bool is_there = false;
  for (int i = 0; is_odd && s->more[i] != NULL; i++) is_there |= strcmp(s->more[i], s->one[0]) == 0;
  for (int i = 0; is_odd && !is_there && i < 2; i++) words[count++] = (char *)(uintptr_t)s->one[i];
  plm_status loaded = plm_options_load(plm_train_option_table(), count, words, &values);
  if (loaded != PLM_OK) return plm_comm_end(comm, loaded);
  const plm_status status = plm_train(values, &observer, &s->results[comm->rank]);
  plm_option_values_destroy(values);
  return status;
}

static void run(start *s, int ranks, plm_error_record *results) {
  const threads_options options = {.size = ranks, .ranks_per_node = 2};
  threads_run(&options, train, s, results);
}

static start dry(const char *directory) {
  return (start){.more = {"--train", PROTEINS, "--cache-dir", scratch_path("cache"), "--output-dir",
                          scratch_path(directory), "--dry-run"}};
}

static start real(const char *directory) {
  return (start){
      .more = {"--train", PROTEINS, "--cache-dir", scratch_path("cache"), "--output-dir", scratch_path(directory)}};
}

/* Every rank, with the same words. */
static void expect_all(const plm_error_record *results, int ranks, plm_status status, const char *words) {
  for (int rank = 0; rank < ranks; rank++) {
    if (results[rank].code != status || strstr(results[rank].message, words) == NULL)
      fprintf(stderr, "rank %d: %d, %s\n", rank, (int)results[rank].code, results[rank].message);
    assert_int_equal(results[rank].code, status);
    assert_non_null(strstr(results[rank].message, words));
  }
}

static void add(start *s, const char *name, const char *value) {
  int i = 0;
  while (s->more[i] != NULL) i++;
  s->more[i] = name;
  s->more[i + 1] = value;
}

/* ---- what differs is named before the first step ---- */

static void another_option_on_one_rank_is_named(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start s = dry("other-option");
  s.odd = 1;
  s.one[0] = "--seed";
  s.one[1] = "7";
  run(&s, RANKS, results);
  expect_all(results, RANKS, PLM_E_USAGE, "rank 1 (");
  expect_all(results, RANKS, PLM_E_USAGE, "has other --seed than rank 0");
}

static void options_of_the_place_may_differ(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start s = dry("other-place");
  s.odd = 2;
  s.one[0] = "--loader-workers";
  s.one[1] = "0";
  run(&s, RANKS, results);
  threads_expect_ok(results, RANKS);
  assert_int_equal(s.results[2].max_steps, 4);
}

static void other_data_on_one_rank_are_named(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start s = dry("other-data");
  scratch_write_text("other.fasta", ">a\nMKTAYIAKQRQISFVKSHFSRQ\n>b\nMKTAYIAKQRQISFVKSHFSR\n");
  s.odd = 2; /* the first of its node */
  s.one[0] = "--train";
  s.one[1] = scratch_path("other.fasta");
  run(&s, RANKS, results);
  expect_all(results, RANKS, PLM_E_USAGE, "rank 2 (");
  expect_all(results, RANKS, PLM_E_USAGE, "has other training sequences than rank 0");
}

static void data_that_one_rank_lacks_are_all_ranks_failure(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start s = dry("no-data");
  s.odd = 2;
  s.one[0] = "--train";
  s.one[1] = scratch_path("absent.fasta");
  run(&s, RANKS, results);
  expect_all(results, RANKS, PLM_E_INPUT, "rank 2 (");
  expect_all(results, RANKS, PLM_E_INPUT, "absent.fasta");
}

static void a_directory_that_one_rank_does_not_see_is_named(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start s = real("seen-by-two");
  s.odd = 2;
  s.one[0] = "--output-dir";
  s.one[1] = scratch_path("somewhere-else");
  run(&s, RANKS, results);
  expect_all(results, RANKS, PLM_E_RESOURCE, "rank 2 (");
  expect_all(results, RANKS, PLM_E_RESOURCE, "somewhere-else is on ");
  assert_false(plm_file_exists(scratch_path("somewhere-else")));
}

/* ---- no rank fails alone ---- */

static void a_stage_that_fails_on_one_rank_fails_on_all(void **state) {
  static const char *const stages[] = {"options", "directory", "state", "model", "machine", "plan", "data"};
  (void)state;
  for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
    for (int rank = 0; rank < RANKS; rank++) {
      plm_error_record results[RANKS];
      char words[64], who[32];
      start s = dry("failing");
      snprintf(words, sizeof words, "%d:%s", rank, stages[i]);
      snprintf(who, sizeof who, "rank %d (", rank);
      setenv("PROTLM_TEST_FAIL", words, 1);
      run(&s, RANKS, results);
      unsetenv("PROTLM_TEST_FAIL");
      expect_all(results, RANKS, PLM_E_FAILURE, who);
      expect_all(results, RANKS, PLM_E_FAILURE, stages[i]);
    }
}

static void a_second_run_in_the_directory_is_refused_on_all(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  plm_lock *lock;
  bool elsewhere;
  start s = real("locked");
  assert_ok(plm_directory_make(scratch_path("locked")));
  assert_ok(plm_lock_take(scratch_path("locked/run.lock"), "somebody", &lock, &elsewhere, NULL));
  run(&s, RANKS, results);
  plm_lock_release(lock);
  expect_all(results, RANKS, PLM_E_USAGE, "is in use by another run");
}

/* The n-th agreement fails, for all n, on one rank after the other, until there are no more in a run: none is left in
 * which others would wait for the one that failed. */
static void every_agreement_may_fail(void **state) {
  int n = 0;
  (void)state;
  for (;;) {
    plm_error_record results[RANKS];
    char words[64], directory[64];
    snprintf(directory, sizeof directory, "every-%d", n);
    start s = real(directory);
    s.more[6] = "--max-steps";
    s.more[7] = "1";
    snprintf(words, sizeof words, "%d:*:%d", n % RANKS, n + 1);
    setenv("PROTLM_TEST_FAIL", words, 1);
    run(&s, RANKS, results);
    unsetenv("PROTLM_TEST_FAIL");
    assert_ok(plm_tree_remove(scratch_path(directory)));
    if (results[0].code == PLM_OK) break;
    expect_all(results, RANKS, PLM_E_FAILURE, "a test has this rank fail");
    n++;
  }
  fprintf(stderr, "agreements of a run: %d\n", n);
  assert_true(n > 50);
}

static void an_evaluation_stops_on_all_ranks(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start s = real("stopping");
  add(&s, "--eval", PROTEINS);
  s.stops = true;
  run(&s, RANKS, results);
  for (int rank = 0; rank < RANKS; rank++) {
    assert_int_equal(results[rank].code, PLM_STOPPED);
    assert_string_equal(s.results[rank].reason, "SIGTERM");
  }
  assert_non_null(strstr(scratch_read("stopping/stopped"), "\"code\": 75,"));
}

/* ---- whole runs ---- */

static const char *content(const char *run, const char *name) {
  char path[256];
  static char hashes[8][33];
  static int used;
  int64_t bytes;
  snprintf(path, sizeof path, "%s/%s", run, name);
  char *hash = hashes[used++ % 8];
  assert_ok(plm_file_hash(scratch_path(path), hash, &bytes));
  return hash;
}

static void expect_same(const char *one, const char *other, const char *checkpoint) {
  static const char *const files[] = {"model.safetensors", "optimizer.safetensors"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char name[128];
    snprintf(name, sizeof name, "%s/%s", checkpoint, files[i]);
    assert_string_equal(content(one, name), content(other, name));
  }
}

static void a_run_is_repeatable_whole_or_in_pieces(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start once = real("once"), again = real("again"), pieces = real("pieces");
  add(&pieces, "--zero", "1");
  run(&once, RANKS, results);
  threads_expect_ok(results, RANKS);
  run(&again, RANKS, results);
  threads_expect_ok(results, RANKS);
  run(&pieces, RANKS, results);
  threads_expect_ok(results, RANKS);
  expect_same("once", "again", "checkpoint-4");
  expect_same("once", "pieces", "checkpoint-4");
  assert_string_equal(content("once", "final/model.safetensors"), content("pieces", "final/model.safetensors"));
  assert_false(plm_file_exists(scratch_path("once/stopped")));
}

static void a_run_goes_on_with_another_number_of_ranks(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start first = real("elastic"), next = real("elastic");
  add(&first, "--zero", "1");
  run(&first, RANKS, results);
  threads_expect_ok(results, RANKS);
  add(&next, "--max-steps", "6");
  add(&next, "--allow-change", "max-steps");
  warnings_listen();
  run(&next, 2, results);
  warnings_stop();
  threads_expect_ok(results, 2);
  assert_int_equal(next.results[1].first_step, 4);
  assert_int_equal(next.results[1].step, 6);
  assert_non_null(strstr(warnings_text(), "bits may differ from a run that was not interrupted: 3 ranks"));
}

/* The same steps on one rank, up to rounding: the same file of a checkpoint is too much to ask, its loss is not. */
static void losses_do_not_depend_on_the_number_of_ranks(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start alone = real("alone"), together = real("together");
  run(&alone, 1, results);
  threads_expect_ok(results, 1);
  run(&together, RANKS, results);
  threads_expect_ok(results, RANKS);
  const double a = alone.results[0].final_loss, b = together.results[2].final_loss;
  assert_true(a > 0 && b > a * (1 - 1e-5) && b < a * (1 + 1e-5));
}

static void published_weights_come_from_rank_0(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start first = real("published"), next = real("continued");
  run(&first, 1, results);
  threads_expect_ok(results, 1);
  add(&next, "--model", scratch_path("published/final"));
  next.odd = 2;
  next.one[0] = "--cache-dir"; /* any */
  next.one[1] = scratch_path("cache");
  add(&next, "--save-at", "start");
  run(&next, RANKS, results);
  threads_expect_ok(results, RANKS);
  assert_string_equal(content("published", "final/model.safetensors"),
                      content("continued", "checkpoint-0/model.safetensors"));
}

static void what_runs_fails_on_all_ranks_too(void **state) {
  static const char *const stages[] = {"load", "description", "preflight", "batch:2",
                                       "log",  "evaluation",  "save:5",    "final"};
  (void)state;
  for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
    for (int rank = 0; rank < RANKS; rank++) {
      plm_error_record results[RANKS];
      char words[96], who[32], directory[64];
      snprintf(directory, sizeof directory, "running-%zu-%d", i, rank);
      start s = real(directory);
      add(&s, "--eval", PROTEINS);
      snprintf(words, sizeof words, "%d:%s", rank, stages[i]);
      snprintf(who, sizeof who, "\"rank\": %d,", rank);
      setenv("PROTLM_TEST_FAIL", words, 1);
      run(&s, RANKS, results);
      unsetenv("PROTLM_TEST_FAIL");
      if (results[0].code == PLM_OK) fprintf(stderr, "nothing failed at %s\n", words);
      expect_all(results, RANKS, PLM_E_FAILURE, "a test has this rank fail");
      snprintf(words, sizeof words, "%s/stopped", directory);
      if (strstr(scratch_read(words), who) == NULL) fprintf(stderr, "%s: %s\n", who, scratch_read(words));
      assert_non_null(strstr(scratch_read(words), who));
      assert_non_null(strstr(scratch_read(words), "\"requeue\": true"));
    }
}

static void why_the_last_start_stopped_is_said_once(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start s = real("told");
  setenv("PROTLM_TEST_FAIL", "1:log:3", 1);
  run(&s, RANKS, results);
  unsetenv("PROTLM_TEST_FAIL");
  expect_all(results, RANKS, PLM_E_FAILURE, "rank 1 (");
  const char *note = scratch_read("told/stopped");
  assert_non_null(strstr(note, "\"rank\": 1,"));
  assert_non_null(strstr(note, "\"stage\": \"step\""));
  assert_non_null(strstr(note, "\"code\": 1,"));
  assert_non_null(strstr(note, "\"words\": \"a test has this rank fail"));
  assert_non_null(strstr(note, "\"steps_at_start\": 0,"));
  assert_non_null(strstr(note, "\"steps_done\": 3,"));
  warnings_listen();
  run(&s, RANKS, results);
  warnings_stop();
  threads_expect_ok(results, RANKS);
  assert_false(plm_file_exists(scratch_path("told/stopped")));
}

static void more_ranks_than_sequences_is_said_once(void **state) {
  (void)state;
  plm_error_record results[RANKS];
  start s = real("idle");
  add(&s, "--per-device-train-batch-size", "1");
  run(&s, 1, results);
  threads_expect_ok(results, 1);
  add(&s, "--max-steps", "6");
  add(&s, "--allow-change", "max-steps");
  warnings_listen();
  run(&s, RANKS, results);
  warnings_stop();
  threads_expect_ok(results, RANKS);
  const char *said = strstr(warnings_text(), "a global batch holds 1 sequence, so of 3 ranks some have nothing to do");
  assert_non_null(said);
  assert_null(strstr(said + 1, "a global batch holds"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(another_option_on_one_rank_is_named),
      cmocka_unit_test(options_of_the_place_may_differ),
      cmocka_unit_test(other_data_on_one_rank_are_named),
      cmocka_unit_test(data_that_one_rank_lacks_are_all_ranks_failure),
      cmocka_unit_test(a_directory_that_one_rank_does_not_see_is_named),
      cmocka_unit_test(a_stage_that_fails_on_one_rank_fails_on_all),
      cmocka_unit_test(a_second_run_in_the_directory_is_refused_on_all),
      cmocka_unit_test(every_agreement_may_fail),
      cmocka_unit_test(an_evaluation_stops_on_all_ranks),
      cmocka_unit_test(a_run_is_repeatable_whole_or_in_pieces),
      cmocka_unit_test(a_run_goes_on_with_another_number_of_ranks),
      cmocka_unit_test(losses_do_not_depend_on_the_number_of_ranks),
      cmocka_unit_test(published_weights_come_from_rank_0),
      cmocka_unit_test(what_runs_fails_on_all_ranks_too),
      cmocka_unit_test(why_the_last_start_stopped_is_said_once),
      cmocka_unit_test(more_ranks_than_sequences_is_said_once),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
