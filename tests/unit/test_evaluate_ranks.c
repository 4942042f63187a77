/* An evaluation on several ranks: the bytes of one, every score on rank 0 in order, and one end for all. */
#include "support/unit.h"

#include <stdio.h>

#include "base/alloc.h"
#include "support/evaluation.h"
#include "support/scratch.h"
#include "support/transport_threads.h"

enum { MOST_RANKS = 5, MOST_SCORES = 2000 };

typedef struct scores {
  plm_sequence_score *items; /* [MOST_SCORES] */
  int64_t count;
} scores;

/* What the ranks have, each its own. */
typedef struct job {
  bench benches[MOST_RANKS];
  scores scores[MOST_RANKS];
  plm_record records[MOST_RANKS];
  plm_error_record results[MOST_RANKS];
  int64_t asked[MOST_RANKS]; /* how often `cancelled` was */
  bool is_table;             /* no scores are wanted */
  int stops_on, refuses_on;  /* rank; -1: none */
} job;

static plm_status keep(void *user, const plm_sequence_score *score) {
  scores *s = user;
  PLM_ASSERT(s->count < MOST_SCORES);
  s->items[s->count++] = *score;
  return PLM_OK;
}

static plm_status refuse(void *user, const plm_sequence_score *score) {
  (void)user;
  return score->id < 7 ? PLM_OK : plm_fail(PLM_E_RESOURCE, "no room for score 7");
}

static bool at_the_second(void *user) { return ++*(int64_t *)user > 1; }

static plm_status evaluate(plm_comm *comm, void *context) {
  job *j = context;
  bench *b = &j->benches[comm->rank];
  plm_sequence_score_fn *each = j->refuses_on >= 0 ? refuse : keep;
  b->options.comm = comm;
  b->options.cancelled = comm->rank == j->stops_on ? at_the_second : NULL;
  b->options.user = &j->asked[comm->rank];
  return plm_evaluate(&b->view, b->model, b->x, &b->options, j->is_table ? NULL : each, &j->scores[comm->rank],
                      &j->records[comm->rank]);
}

/* Opened for every rank by `open_one`, all alike. */
static job *open_job(void (*open_one)(bench *b)) {
  job *j = NULL;
  assert_ok(PLM_NEW(&j, 1));
  for (int rank = 0; rank < MOST_RANKS; rank++) {
    open_one(&j->benches[rank]);
    assert_ok(PLM_NEW(&j->scores[rank].items, MOST_SCORES));
  }
  j->stops_on = j->refuses_on = -1;
  return j;
}

static void close_job(job *j) {
  for (int rank = 0; rank < MOST_RANKS; rank++) {
    close_bench(&j->benches[rank]);
    plm_free(j->scores[rank].items);
  }
  plm_free(j);
}

static void run_job(job *j, int ranks) {
  for (int rank = 0; rank < ranks; rank++) {
    j->scores[rank].count = 0;
    memset(j->scores[rank].items, 0, MOST_SCORES * sizeof *j->scores[rank].items);
    memset(&j->records[rank], 0, sizeof j->records[rank]);
  }
  threads_run(&(threads_options){.size = ranks, .ranks_per_node = 2, .most_delay = 3, .seed = 11}, evaluate, j,
              j->results);
}

static void open_usual(bench *b) { open_bench(b, PLM_RANDOM_AA_OTHER); }

static void expect_bytes_of_one(job *j, const plm_record *record, const plm_sequence_score *alone, int64_t count) {
  static const int sizes[] = {1, 2, 3, 5};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    run_job(j, sizes[i]);
    threads_expect_ok(j->results, sizes[i]);
    for (int rank = 0; rank < sizes[i]; rank++) {
      assert_memory_equal(&j->records[rank], record, sizeof *record);
      assert_int_equal(j->scores[rank].count, rank == 0 && !j->is_table ? count : 0);
    }
    if (!j->is_table) assert_memory_equal(j->scores[0].items, alone, (size_t)count * sizeof *alone);
  }
}

/* By a process alone, without a communicator. */
static void evaluate_alone(bench *b, scores *s, plm_record *ret_record) {
  memset(s->items, 0, MOST_SCORES * sizeof *s->items);
  s->count = 0;
  b->options.comm = NULL;
  memset(ret_record, 0, sizeof *ret_record);
  assert_ok(plm_evaluate(&b->view, b->model, b->x, &b->options, keep, s, ret_record));
}

static void expect_no_difference(void (*open_one)(bench *b), int64_t draws, int64_t micro_batch_tokens) {
  job *j = open_job(open_one);
  scores alone = {0};
  plm_record record;
  assert_ok(PLM_NEW(&alone.items, MOST_SCORES));
  evaluate_alone(&j->benches[0], &alone, &record);
  for (int rank = 0; rank < MOST_RANKS; rank++) {
    j->benches[rank].options.draws = draws;
    j->benches[rank].options.packer.micro_batch_tokens = micro_batch_tokens;
  }
  if (draws > 1) evaluate_alone(&j->benches[0], &alone, &record);
  assert_int_equal(alone.count, j->benches[0].view.count);
  for (int table = 0; table < 2; table++) {
    j->is_table = table == 1;
    expect_bytes_of_one(j, &record, alone.items, alone.count);
  }
  plm_free(alone.items);
  close_job(j);
}

static void any_number_of_ranks_gives_the_bytes_of_one(void **state) {
  (void)state;
  expect_no_difference(open_usual, 1, 200);
}

static void draws_and_micro_batches_are_no_matter(void **state) {
  (void)state;
  expect_no_difference(open_usual, 3, 61);
}

static void open_two(bench *b) { open_bench_of(b, 2, 10, 50, 2000); }

static void more_ranks_than_sequences_are_no_matter(void **state) {
  (void)state;
  expect_no_difference(open_two, 1, 200);
}

/* So short that a rank has more in a round than one exchange carries. */
static void open_many(bench *b) { open_bench_of(b, MOST_SCORES, 3, 6, 8000); }

static void scores_come_in_several_exchanges(void **state) {
  (void)state;
  _Static_assert(PLM_EXCHANGE_MAX / sizeof(plm_sequence_score) < MOST_SCORES / 2, "two ranks need several");
  expect_no_difference(open_many, 1, 8000);
}

static void a_stop_on_one_rank_is_a_stop_on_all(void **state) {
  (void)state;
  job *j = open_job(open_usual);
  for (int rank = 0; rank < MOST_RANKS; rank++) j->benches[rank].options.packer.micro_batch_tokens = 61;
  for (j->stops_on = 0; j->stops_on < 3; j->stops_on++) {
    memset(j->asked, 0, sizeof j->asked);
    run_job(j, 3);
    for (int rank = 0; rank < 3; rank++) assert_int_equal(j->results[rank].code, PLM_STOPPED);
    assert_int_equal(j->asked[j->stops_on], 2);
  }
  close_job(j);
}

static void a_failure_of_rank_0s_reader_is_everyones(void **state) {
  (void)state;
  job *j = open_job(open_usual);
  j->refuses_on = 0;
  run_job(j, 3);
  for (int rank = 0; rank < 3; rank++) {
    assert_int_equal(j->results[rank].code, PLM_E_RESOURCE);
    assert_non_null(strstr(j->results[rank].message, "rank 0 ("));
    assert_non_null(strstr(j->results[rank].message, "no room for score 7"));
  }
  close_job(j);
}

/* A rank whose model has no room for the batch. */
static void a_failure_while_scoring_is_everyones(void **state) {
  (void)state;
  for (int failing = 0; failing < 3; failing++) {
    job *j = open_job(open_usual);
    close_bench(&j->benches[failing]);
    open_bench_of(&j->benches[failing], BENCH_PROTEINS, 3, 90, 61);
    run_job(j, 3);
    char who[32];
    snprintf(who, sizeof who, "rank %d (", failing);
    for (int rank = 0; rank < 3; rank++) {
      assert_int_equal(j->results[rank].code, j->results[failing].code);
      assert_true(j->results[rank].code != PLM_OK);
      if (strstr(j->results[rank].message, who) != j->results[rank].message)
        fail_msg("rank %d: %s", rank, j->results[rank].message);
    }
    close_job(j);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_number_of_ranks_gives_the_bytes_of_one),
      cmocka_unit_test(draws_and_micro_batches_are_no_matter),
      cmocka_unit_test(more_ranks_than_sequences_are_no_matter),
      cmocka_unit_test(scores_come_in_several_exchanges),
      cmocka_unit_test(a_stop_on_one_rank_is_a_stop_on_all),
      cmocka_unit_test(a_failure_of_rank_0s_reader_is_everyones),
      cmocka_unit_test(a_failure_while_scoring_is_everyones),
  };
  return cmocka_run_group_tests_name("evaluate_ranks", tests, scratch_setup, scratch_teardown);
}
