/* The communicator of several ranks, as threads of this process: exchange, broadcast, the sum rule, gathers, drains. */
#include "support/unit.h"

#include "base/alloc.h"
#include "dist/agree.h"
#include "protlm/log.h"
#include "support/ranks_cases.h"
#include "support/transport_threads.h"

enum { MOST = CASES_MOST_RANKS };

static void everyone_has_what_everyone_brought(void **state) {
  plm_error_record results[MOST];
  (void)state;
  for (int size = 1; size <= 5; size++) {
    threads_run(&(threads_options){.size = size, .most_delay = size % 3 * 3, .seed = 7}, cases_exchange_sizes, NULL,
                results);
    threads_expect_ok(results, size);
  }
}

static void everyone_knows_where_the_others_are(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 3, .ranks_per_node = 2}, cases_know_places, NULL, results);
  threads_expect_ok(results, 3);
}

static void ranks_that_part_learn_of_it_and_meet_again(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 3}, cases_part, NULL, results);
  threads_expect_ok(results, 3);
}

static void what_any_rank_has_reaches_all(void **state) {
  static const int sizes[] = {1, 2, 3, 4, 7};
  plm_error_record results[MOST];
  (void)state;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    threads_run(&(threads_options){.size = sizes[i], .most_delay = i % 2 == 0 ? 0 : 4}, cases_broadcast_sizes, NULL,
                results);
    threads_expect_ok(results, sizes[i]);
  }
}

static void gradients_are_added_in_rank_order_on_every_rank(void **state) {
  plm_error_record results[MOST];
  (void)state;
  for (int size = 1; size <= 5; size++)
    for (int form = 0; form < 4; form++) {
      cases_sums s = {.is_bf16 = form % 2 == 1 && size > 1, .keep_shard = form / 2 == 1, .failing = -1};
      threads_run(&(threads_options){.size = size, .most_delay = form == 1 ? 5 : 0, .seed = (uint64_t)size},
                  cases_add_buckets, &s, results);
      threads_expect_ok(results, size);
    }
}

static void a_rank_that_failed_leaves_nobody_waiting(void **state) {
  plm_error_record results[MOST];
  (void)state;
  for (int failing = 0; failing < 3; failing++)
    for (int started = 0; started <= CASES_BUCKETS; started++) {
      cases_sums s = {.failing = failing, .started = started, .keep_shard = started % 2 == 1};
      threads_run(&(threads_options){.size = 3, .most_delay = 2}, cases_add_buckets, &s, results);
      threads_expect_ok(results, 3);
    }
}

static void steps_follow_each_other(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 3, .most_delay = 3}, cases_take_steps, NULL, results);
  threads_expect_ok(results, 3);
}

static void traffic_is_counted(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 2}, cases_count_traffic, NULL, results);
  threads_expect_ok(results, 2);
}

static void memory_of_a_device_is_never_touched(void **state) {
  plm_error_record results[MOST];
  (void)state;
  for (int size = 1; size <= 3; size++) {
    bool keep_shard = size % 2 == 1;
    threads_run(&(threads_options){.size = size}, cases_late_device, &keep_shard, results);
    threads_expect_ok(results, size);
  }
}

static void spans_come_from_their_owners(void **state) {
  plm_error_record results[MOST];
  (void)state;
  for (int size = 1; size <= 4; size++)
    for (int root = PLM_EVERY_RANK; root < size; root++) {
      threads_run(&(threads_options){.size = size, .most_delay = size % 2 * 3}, cases_gather_spans, &root, results);
      threads_expect_ok(results, size);
    }
}

static void one_failure_is_everyones(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 3}, cases_fail_in_turn, NULL, results);
  for (int rank = 0; rank < 3; rank++) {
    assert_int_equal(results[rank].code, PLM_E_NUMERIC);
    assert_non_null(strstr(results[rank].message, "not finite"));
    assert_non_null(strstr(results[rank].message, "rank 1 ("));
  }
}

static void who_failed_alone_is_heard_in_the_end(void **state) {
  plm_error_record results[MOST];
  (void)state;
  threads_run(&(threads_options){.size = 3}, cases_fail_elsewhere, NULL, results);
  for (int rank = 0; rank < 3; rank++) {
    assert_int_equal(results[rank].code, PLM_E_RESOURCE);
    assert_non_null(strstr(results[rank].message, "rank 1 ("));
    assert_non_null(strstr(results[rank].message, "out of memory"));
  }
}

static plm_status leave_early(plm_comm *comm, void *context) {
  const bool is_late = *(const bool *)context; /* when all have come to an end already */
  if (is_late) PLM_TRY(plm_comm_end(comm, PLM_OK));
  if (comm->rank == 1) return PLM_OK; /* to its destruction */
  return plm_comm_end(comm, plm_agree(comm, "data", PLM_OK));
}

static void a_rank_that_leaves_before_the_end_fails_the_others(void **state) {
  plm_error_record results[MOST];
  (void)state;
  for (int late = 0; late < 2; late++) {
    bool is_late = late == 1;
    threads_run(&(threads_options){.size = 3}, leave_early, &is_late, results);
    assert_int_equal(results[1].code, PLM_OK);
    for (int rank = 0; rank < 3; rank += 2) {
      assert_int_equal(results[rank].code, PLM_E_FAILURE);
      assert_non_null(strstr(results[rank].message, "rank 1 ("));
      assert_non_null(strstr(results[rank].message, "it left while others went on"));
    }
  }
}

static void be_silent(void *user, plm_log_level level, const char *line) {
  (void)user;
  (void)level;
  (void)line;
}

static plm_status only_end(plm_comm *comm, void *context) {
  (void)context;
  return plm_comm_end(comm, PLM_OK);
}

/* Allocations of the opening fail, on whichever rank it is. */
static void a_rank_without_memory_for_its_opening_ends_all(void **state) {
  enum { SIZE = 3 };
  plm_error_record results[SIZE];
  int failures = 0;
  (void)state;
  plm_log_set_sink(be_silent, NULL);
  const int64_t before = plm_alloc_count();
  threads_run(&(threads_options){.size = SIZE}, only_end, NULL, results);
  const int64_t count = plm_alloc_count() - before;
  threads_expect_ok(results, SIZE);
  for (int64_t n = 1; n < count * 9 / 10; n += 1 + count / 20, failures++) {
    bool has_said = false;
    plm_alloc_fail_at(n);
    threads_run(&(threads_options){.size = SIZE}, only_end, NULL, results);
    plm_alloc_fail_at(0);
    for (int rank = 0; rank < SIZE; rank++)
      has_said |= results[rank].code == PLM_E_RESOURCE && strstr(results[rank].message, "out of memory") != NULL;
    assert_true(has_said);
  }
  plm_log_set_sink(NULL, NULL);
  assert_true(failures > 10);
  assert_int_equal(plm_alloc_live(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everyone_has_what_everyone_brought),
      cmocka_unit_test(everyone_knows_where_the_others_are),
      cmocka_unit_test(ranks_that_part_learn_of_it_and_meet_again),
      cmocka_unit_test(what_any_rank_has_reaches_all),
      cmocka_unit_test(gradients_are_added_in_rank_order_on_every_rank),
      cmocka_unit_test(a_rank_that_failed_leaves_nobody_waiting),
      cmocka_unit_test(steps_follow_each_other),
      cmocka_unit_test(traffic_is_counted),
      cmocka_unit_test(memory_of_a_device_is_never_touched),
      cmocka_unit_test(spans_come_from_their_owners),
      cmocka_unit_test(one_failure_is_everyones),
      cmocka_unit_test(who_failed_alone_is_heard_in_the_end),
      cmocka_unit_test(a_rank_that_leaves_before_the_end_fails_the_others),
      cmocka_unit_test(a_rank_without_memory_for_its_opening_ends_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
