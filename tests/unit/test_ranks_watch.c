/* Several ranks of which one hangs, is gone, or whose transport fails: all end, and are told why. */
#include "support/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "protlm/log.h"
#include "support/transport_threads.h"

enum { RANKS = 3 };

static const double limit = 0.4; /* seconds that a section may last here */

/* ---- what is said ---- */

static char said[1 << 16];

static void hear(void *user, plm_log_level level, const char *line) {
  const size_t used = strlen(said);
  (void)user;
  (void)level;
  snprintf(said + used, sizeof said - used, "%s\n", line);
}

static int listen(void **state) {
  (void)state;
  said[0] = '\0';
  plm_log_set_sink(hear, NULL);
  return 0;
}

static int be_deaf(void **state) {
  (void)state;
  plm_log_set_sink(NULL, NULL);
  return 0;
}

/* Fails the test unless every rank failed so, with these words. */
static void expect_all(const plm_error_record *results, plm_status code, const char *words) {
  for (int rank = 0; rank < RANKS; rank++) {
    if (results[rank].code != code || strstr(results[rank].message, words) == NULL)
      fail_msg("rank %d: '%s', not '%s'\n%s", rank, results[rank].message, words, said);
  }
}

static void expect_said(const char *words) {
  if (strstr(said, words) == NULL) fail_msg("'%s' was not said:\n%s", words, said);
}

/* ---- ranks ---- */

typedef struct plan {
  int late_rank;        /* which is at work, not waiting for others, */
  double section_limit; /* in a section that may last this long; 0: not at all */
  double others_limit;  /* of the section of all ranks; 0: the usual */
  double seconds;       /* for so long; 0: until it is found out */
  int aborting_rank;    /* ends all itself; 0: none */
  pthread_mutex_t lock;
  int told, writers, cause; /* before_abort: how often, of these as the writer; the rank it named last */
  char stage[64];
} plan;

#define A_PLAN .lock = PTHREAD_MUTEX_INITIALIZER, .cause = -1

static void count_told(void *user, const plm_error_record *why, int rank, const char *stage, bool is_writer) {
  plan *p = user;
  pthread_mutex_lock(&p->lock);
  p->told++;
  p->writers += is_writer && why->code != PLM_OK;
  p->cause = rank;
  snprintf(p->stage, sizeof p->stage, "%s", stage);
  pthread_mutex_unlock(&p->lock);
}

static int count_of(plan *p) {
  pthread_mutex_lock(&p->lock);
  const int told = p->told;
  pthread_mutex_unlock(&p->lock);
  return told;
}

/* For so long, or, where that is 0, until it is found out. */
__attribute__((noinline)) static void be_at_work(plan *p) {
  const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
  const double began = plm_clock_monotonic(), longest = p->seconds > 0 ? p->seconds : 60;
  while (plm_clock_monotonic() - began < longest && count_of(p) < (p->seconds > 0 ? RANKS : 1))
    nanosleep(&moment, NULL);
}

static plm_status take_turns(plm_comm *comm, void *context) {
  plan *p = context;
  char all[RANKS], mine = 0;
  comm->user = p;
  comm->before_abort = count_told;
  comm->timeout = limit;
  comm->section(comm, "step", p->others_limit);
  PLM_TRY(comm->exchange(comm, "first", &mine, 1, all));
  if (comm->rank == p->late_rank && p->section_limit > 0) {
    comm->section(comm, "save", p->section_limit);
    be_at_work(p);
  }
  if (comm->rank > 0 && comm->rank == p->aborting_rank) {
    plm_error_record why;
    plm_fail(PLM_E_RESOURCE, "the disk is full");
    plm_error_take(PLM_E_RESOURCE, &why);
    comm->abort(comm, &why);
  }
  for (int turn = 0; turn < 20; turn++) PLM_TRY(comm->exchange(comm, "second", &mine, 1, all));
  return PLM_OK;
}

/* ---- tests ---- */

static void a_rank_that_hangs_is_named_with_its_stack(void **state) {
  plan p = {A_PLAN, .late_rank = 1, .section_limit = limit / 2};
  plm_error_record results[RANKS];
  (void)state;
  assert_int_equal(threads_run(&(threads_options){.size = RANKS}, take_turns, &p, results), 1);
  expect_all(results, PLM_E_FAILURE, "rank 1 (");
  expect_all(results, PLM_E_FAILURE, "hangs in section \"save\"");
  expect_said("who is where");
  expect_said("section \"step\"");
  expect_said("waiting for others in \"second\"");
  expect_said("take_turns");
  assert_int_equal(p.told, RANKS);
  assert_int_equal(p.writers, 1);
  assert_int_equal(p.cause, 1);
  assert_string_equal(p.stage, "save");
}

static void the_first_rank_is_named_too(void **state) {
  plan p = {A_PLAN, .late_rank = 0, .section_limit = limit / 2};
  plm_error_record results[RANKS];
  (void)state;
  assert_int_equal(threads_run(&(threads_options){.size = RANKS}, take_turns, &p, results), 1);
  expect_all(results, PLM_E_FAILURE, "rank 0 (");
  assert_int_equal(p.writers, 1);
}

static void a_rank_that_takes_no_longer_than_it_may_is_waited_for(void **state) {
  plan p = {A_PLAN, .late_rank = 2, .seconds = 3 * limit, .section_limit = 100};
  plm_error_record results[RANKS];
  (void)state;
  assert_int_equal(threads_run(&(threads_options){.size = RANKS}, take_turns, &p, results), -1);
  threads_expect_ok(results, RANKS);
  assert_string_equal(said, "");
  assert_int_equal(p.told, 0);
}

static void a_rank_that_is_gone_ends_the_others(void **state) {
  (void)state;
  for (int dead = 0; dead < 1; dead++) {
    plan p = {A_PLAN};
    plm_error_record results[RANKS];
    said[0] = '\0';
    assert_int_equal(
        threads_run(&(threads_options){.size = RANKS, .dead_rank = dead, .dead_at = 20}, take_turns, &p, results), 1);
    for (int rank = 0; rank < RANKS; rank++) assert_int_equal(results[rank].code, PLM_E_FAILURE);
    char words[64];
    snprintf(words, sizeof words, "rank %d (", dead);
    expect_said(words);
    expect_said("does not answer: stopped or dead");
    assert_true(strstr(results[1].message, words) != NULL);
  }
}

static void a_rank_that_is_gone_is_not_waited_for_in_a_long_section(void **state) {
  plan p = {A_PLAN, .late_rank = -1, .others_limit = 1000};
  plm_error_record results[RANKS];
  (void)state;
  assert_int_equal(
      threads_run(&(threads_options){.size = RANKS, .dead_rank = 1, .dead_at = 20}, take_turns, &p, results), 1);
  expect_said("rank 1 (");
  assert_non_null(strstr(results[0].message, "does not answer: it is stopped or dead"));
  assert_non_null(strstr(results[0].message, "in section \"step\""));
}

static void a_rank_that_is_busy_in_a_long_section_is_asked_and_waited_for(void **state) {
  plan p = {A_PLAN, .late_rank = 2, .seconds = 4 * limit, .section_limit = 1000, .others_limit = 1000};
  plm_error_record results[RANKS];
  (void)state;
  assert_int_equal(threads_run(&(threads_options){.size = RANKS}, take_turns, &p, results), -1);
  threads_expect_ok(results, RANKS);
  assert_string_equal(said, "");
}

static void a_transport_that_fails_ends_all(void **state) {
  (void)state;
  for (int64_t at = 5; at < 60; at += 18) {
    plan p = {A_PLAN};
    plm_error_record results[RANKS];
    said[0] = '\0';
    const int code =
        threads_run(&(threads_options){.size = RANKS, .fail_rank = 1, .fail_at = at}, take_turns, &p, results);
    assert_int_equal(code, 1);
    expect_said("threads failed in stage \"");
    expect_said("made to fail by the test");
    assert_int_equal(results[1].code, PLM_E_FAILURE);
    assert_non_null(strstr(results[1].message, "rank 1 ("));
  }
}

static void a_rank_may_end_all(void **state) {
  plan p = {A_PLAN, .aborting_rank = 2};
  plm_error_record results[RANKS];
  (void)state;
  assert_int_equal(threads_run(&(threads_options){.size = RANKS}, take_turns, &p, results), PLM_E_RESOURCE);
  expect_said("the disk is full");
  assert_true(p.writers >= 1);
  assert_int_equal(results[2].code, PLM_E_RESOURCE);
}

/* In a process of its own, which afterwards ends without the exit handlers of others. */
static void a_transport_that_never_closes_is_left_behind(void **state) {
  plan p = {A_PLAN, .late_rank = -1};
  plm_error_record results[RANKS];
  int how = -1;
  (void)state;
  fflush(NULL);
  const pid_t child = fork();
  if (child == 0) {
    threads_run(&(threads_options){.size = RANKS, .never_closes = true}, take_turns, &p, results);
    bool is_well = strstr(said, "threads does not come to its end") != NULL;
    for (int rank = 0; rank < RANKS; rank++) is_well = is_well && results[rank].code == PLM_OK;
    exit(is_well ? 42 : 1);
  }
  assert_true(child > 0 && waitpid(child, &how, 0) == child);
  assert_true(WIFEXITED(how));
  assert_int_equal(WEXITSTATUS(how), 42);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_rank_that_hangs_is_named_with_its_stack, listen, be_deaf),
      cmocka_unit_test_setup_teardown(the_first_rank_is_named_too, listen, be_deaf),
      cmocka_unit_test_setup_teardown(a_rank_that_takes_no_longer_than_it_may_is_waited_for, listen, be_deaf),
      cmocka_unit_test_setup_teardown(a_rank_that_is_gone_ends_the_others, listen, be_deaf),
      cmocka_unit_test_setup_teardown(a_rank_that_is_gone_is_not_waited_for_in_a_long_section, listen, be_deaf),
      cmocka_unit_test_setup_teardown(a_rank_that_is_busy_in_a_long_section_is_asked_and_waited_for, listen, be_deaf),
      cmocka_unit_test_setup_teardown(a_transport_that_fails_ends_all, listen, be_deaf),
      cmocka_unit_test_setup_teardown(a_rank_may_end_all, listen, be_deaf),
      cmocka_unit_test_setup_teardown(a_transport_that_never_closes_is_left_behind, listen, be_deaf),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
