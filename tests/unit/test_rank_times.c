/* What a log says of several ranks: shares of an interval, and whose fault the rest was. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "protlm/log.h"
#include "train/clock.h"

enum { RANKS = 4 };

/* One step of 2 s: of four ranks one computes 1.5 s and the others 1 s; half a second is waited by each of those. */
static void count(plm_run_clock *clock, int slowest, double compute_of_slowest) {
  const plm_control control = {
      .compute = 3 + compute_of_slowest,
      .slowest_compute = compute_of_slowest,
      .slowest_rank = slowest,
      .exposed = 1.6,
      .sent = 4000,
      .residues = 10,
      .tokens = 12,
  };
  plm_run_clock_count_step(clock, &control, RANKS);
}

static void close_after(plm_run_clock *clock, plm_train_state *state, double now, int ranks, plm_record *line) {
  plm_clock_set_fake(now);
  plm_run_clock_update(clock, state);
  plm_run_clock_close_interval(clock, state, 0, ranks, line);
}

static void an_interval_says_how_ranks_shared_it(void **state_) {
  plm_run_clock clock;
  plm_train_state state;
  plm_record line;
  (void)state_;
  plm_clock_set_fake(100);
  plm_run_clock_init(&clock);
  plm_train_state_init(&state);
  plm_run_clock_begin(&clock, &state, 0);
  count(&clock, 2, 1.5);
  count(&clock, 1, 1.5);
  count(&clock, 2, 1.5);
  close_after(&clock, &state, 106, RANKS, &line);
  assert_int_equal(line.cell[PLM_MEASURE_RANKS].count, RANKS);
  assert_int_equal(line.cell[PLM_MEASURE_SLOWEST_RANK].count, 2);
  assert_true(fabs(plm_record_number(&line, PLM_MEASURE_IMBALANCE) - (1.5 / 1.125 - 1)) < 1e-12);
  assert_true(fabs(plm_record_number(&line, PLM_MEASURE_COMM_EXPOSED) - 3 * 0.4 / 6) < 1e-12);
  count(&clock, 3, 1);
  close_after(&clock, &state, 108, RANKS, &line); /* of this interval alone */
  assert_int_equal(line.cell[PLM_MEASURE_SLOWEST_RANK].count, 3);
  assert_true(fabs(plm_record_number(&line, PLM_MEASURE_IMBALANCE)) < 1e-12);
  assert_true(fabs(plm_record_number(&line, PLM_MEASURE_COMM_EXPOSED) - 0.4 / 2) < 1e-12);
  plm_train_state_free(&state);
  plm_clock_set_fake(-1);
}

static void one_rank_says_nothing_of_others(void **state_) {
  plm_run_clock clock;
  plm_train_state state;
  plm_record line;
  plm_json_line json;
  (void)state_;
  plm_run_clock_init(&clock);
  plm_train_state_init(&state);
  plm_run_clock_begin(&clock, &state, 0);
  plm_run_clock_count_step(&clock, &(plm_control){.compute = 1, .slowest_compute = 1}, 1);
  plm_run_clock_close_interval(&clock, &state, 0, 1, &line);
  assert_ok(plm_record_to_json(&line, &json));
  assert_null(strstr(json.text, "rank"));
  assert_null(strstr(json.text, "comm_exposed"));
  assert_null(strstr(json.text, "imbalance"));
  plm_train_state_free(&state);
}

/* What a preflight sent, and an evaluation between two steps. */
static void what_came_before_the_first_step_is_not_counted(void **state) {
  plm_comm comm = {.size = RANKS, .traffic = {.sent = 1000, .busy = 9, .exposed = 8}};
  plm_run_clock clock;
  plm_control control = {0};
  (void)state;
  plm_run_clock_init(&clock);
  plm_run_clock_begin_traffic(&clock, &comm);
  comm.traffic = (plm_comm_traffic){.sent = 1100, .busy = 11, .exposed = 8.5};
  plm_run_clock_take_traffic(&clock, &comm, &control);
  assert_int_equal(control.sent, 100);
  assert_true(control.busy == 2 && control.exposed == 0.5);
  plm_run_clock_count_step(&clock, &control, RANKS);
  comm.traffic.sent = 1150;
  plm_run_clock_begin_traffic(&clock, &comm);
  comm.traffic.sent = 1200;
  plm_run_clock_take_traffic(&clock, &comm, &control);
  assert_int_equal(control.sent, 100);
}

/* ---- the line at the end ---- */

static char said[1024];

static void listen(void *user, plm_log_level level, const char *line) {
  (void)user;
  (void)level;
  snprintf(said, sizeof said, "%s", line);
}

static void the_end_names_the_slowest_host(void **state_) {
  const plm_rank_place places[RANKS] = {{.host = "n1"}, {.host = "n1"}, {.host = "n2"}, {.host = "n2"}};
  const plm_comm comm = {.size = RANKS, .places = places}, other = {.size = RANKS, .rank = 1, .places = places};
  plm_run_clock clock;
  plm_train_state state;
  (void)state_;
  plm_clock_set_fake(100);
  plm_run_clock_init(&clock);
  plm_train_state_init(&state);
  plm_run_clock_begin(&clock, &state, 0);
  count(&clock, 3, 1.5);
  count(&clock, 3, 1.5);
  plm_clock_set_fake(104);
  plm_run_clock_update(&clock, &state);
  plm_log_set_sink(listen, NULL);
  plm_run_clock_tell_ranks(&clock, &other);
  assert_string_equal(said, "");
  plm_run_clock_tell_ranks(&clock, &comm);
  plm_log_set_sink(NULL, NULL);
  assert_non_null(strstr(said, "most often rank 3 (n2), computed 33.3 % longer than the mean; 20.0 % of the time"));
  assert_non_null(strstr(said, "; 3.91 KiB sent in a step by all ranks together"));
  plm_train_state_free(&state);
  plm_clock_set_fake(-1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_interval_says_how_ranks_shared_it),
      cmocka_unit_test(one_rank_says_nothing_of_others),
      cmocka_unit_test(what_came_before_the_first_step_is_not_counted),
      cmocka_unit_test(the_end_names_the_slowest_host),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
