/* Whole runs on several ranks, which are threads of this process: no rank fails alone, and what rank 0 decides or reads
 * is everybody's. */
#include "support/unit.h"
#include "support/warnings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "dist/agree.h"
#include "protlm/train.h"
#include "support/scratch.h"
#include "support/transport_threads.h"

static const char *const tiny[] = {
    "--model",      "esm2_t6_8M", "--num-hidden-layers",  "1",   "--hidden-size", "16",   "--num-attention-heads",
    "2",            "--threads",  "1",                    "--max-length",         "256",  "--batch-tokens",
    "512",          "--micro-batch-tokens",               "512", "--dtype",       "fp32", "--save-steps",
    "2",            "--logging-steps",                    "1",   "--max-steps",   "4",
};
enum { TINY = sizeof tiny / sizeof *tiny, MOST = TINY + 24, RANKS = 3 };

#define PROTEINS PLM_SOURCE_DIR "/tests/integration/proteins.fasta"

typedef struct start {
  const char *more[16]; /* of every rank; NULL at the end */
  const char *one[2];   /* of rank `odd`, in place of its own or as well; NULL: none */
  int odd;
  plm_train_result results[RANKS];
} start;

static plm_status train(plm_comm *comm, threads_world *world, void *context) {
  start *s = context;
  const plm_train_observer observer = {.comm = comm};
  char *words[MOST];
  int count = 0;
  plm_option_values *values;
  (void)world;
  for (int i = 0; i < TINY; i++) words[count++] = (char *)(uintptr_t)tiny[i];
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
  return (start){.more = {"--train", PROTEINS, "--cache-dir", scratch_path("cache"), "--output-dir",
                          scratch_path(directory)}};
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(another_option_on_one_rank_is_named),
      cmocka_unit_test(options_of_the_place_may_differ),
      cmocka_unit_test(other_data_on_one_rank_are_named),
      cmocka_unit_test(data_that_one_rank_lacks_are_all_ranks_failure),
      cmocka_unit_test(a_directory_that_one_rank_does_not_see_is_named),
      cmocka_unit_test(a_stage_that_fails_on_one_rank_fails_on_all),
      cmocka_unit_test(a_second_run_in_the_directory_is_refused_on_all),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
