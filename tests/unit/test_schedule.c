/* Every schedule against its formula, written out again by hand; the edges; and what contradicts itself. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

#include "train/schedule.h"

static const double pi = 3.14159265358979323846;

static plm_schedule resolve(const char *name, double warmup, double ratio, int64_t T) {
  plm_schedule schedule;
  plm_schedule_request request = {
      .name = name,
      .peak = 1,
      .warmup = warmup,
      .min_lr_ratio = ratio,
      .from_scratch = true,
      .T = T,
  };
  assert_ok(plm_schedule_resolve(&request, &schedule));
  return schedule;
}

static void assert_rate(const plm_schedule *schedule, int64_t updates, double expected) {
  double rate = plm_schedule_rate(schedule, updates);
  if (!(fabs(rate - expected) <= 1e-12))
    fail_msg("%s: factor after %lld updates is %.17g, expected %.17g", plm_schedule_name(schedule), (long long)updates,
             rate, expected);
}

static double by_hand(const char *name, double s, double W, double T, double r) {
  if (s < W && strcmp(name, "constant") != 0) return (s + 1) / W;
  if (s > T) s = T;
  double p = (s - W) / (T - W);
  if (strcmp(name, "esm2") == 0) return s <= 0.9 * T ? 1 - (1 - r) * (s - W) / (0.9 * T - W) : r;
  if (strcmp(name, "linear") == 0) return 1 - (1 - r) * p;
  if (strncmp(name, "cosine", 6) == 0 && strcmp(name, "cosine_max") != 0) return r + (1 - r) * 0.5 * (1 + cos(pi * p));
  if (strcmp(name, "cosine_max") == 0) return fmax(r, 0.5 * (1 + cos(pi * p)));
  if (strcmp(name, "inverse_sqrt") == 0) return fmax(r, sqrt(W / fmax(s, W)));
  if (strcmp(name, "warmup_stable_decay") == 0)
    return s <= 0.9 * T ? 1 : r + (1 - r) * 0.5 * (1 + cos(pi * (s - 0.9 * T) / (0.1 * T)));
  return 1;
}

static void every_schedule_is_its_formula(void **state) {
  (void)state;
  const char *names[] = {"esm2",
                         "linear",
                         "cosine",
                         "cosine_with_min_lr",
                         "cosine_max",
                         "constant",
                         "constant_with_warmup",
                         "inverse_sqrt",
                         "warmup_stable_decay"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    plm_schedule schedule = resolve(names[i], 20, 0.1, 200);
    assert_string_equal(plm_schedule_name(&schedule), names[i]);
    for (int64_t s = 0; s <= 260; s++) assert_rate(&schedule, s, by_hand(names[i], (double)s, 20, 200, 0.1));
  }
}

static void the_first_update_is_never_wasted(void **state) {
  (void)state;
  plm_schedule schedule = resolve("linear", 10, NAN, 100);
  assert_rate(&schedule, 0, 0.1);
  assert_rate(&schedule, 9, 1);
  assert_rate(&schedule, 10, 1);
}

static void warmup_defaults_to_eight_percent(void **state) {
  (void)state;
  const struct {
    int64_t T, W;
  } cases[] = {{1, 0}, {2, 1}, {3, 1}, {10, 1}, {100, 8}, {1000, 80}, {25000, 2000}, {1000000, 2000}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_schedule schedule = resolve("esm2", NAN, NAN, cases[i].T);
    assert_int_equal(schedule.W, cases[i].W);
    for (int64_t s = 0; s < cases[i].T && s < 5000; s++) assert_true(plm_schedule_rate(&schedule, s) > 0);
  }
}

static void a_warmup_below_one_is_a_share(void **state) {
  (void)state;
  assert_int_equal(resolve("linear", 0.25, NAN, 400).W, 100);
  assert_int_equal(resolve("linear", 1, NAN, 400).W, 1);
  assert_int_equal(resolve("linear", 0, NAN, 400).W, 0);
}

/* Expected: math.ceil(T * share) in Python; what rounding to the nearest, or a product in another precision, would say
 * instead stands behind it. */
static void a_share_is_rounded_up_as_in_transformers(void **state) {
  (void)state;
  static const struct {
    double share;
    int64_t T, W;
  } cases[] = {{0.07, 20, 2} /* 1 */, {0.1, 30, 3},          {0.07, 100, 8} /* 7 */, {0.06, 50, 3},
               {0.29, 100, 29},       {0.57, 100, 57},       {0.001, 10, 1} /* 0 */, {0.5, 3, 2},
               {0.03, 1000, 30},      {0.14, 50, 8} /* 7 */, {0.28, 25, 8} /* 7 */};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(resolve("linear", cases[i].share, NAN, cases[i].T).W, cases[i].W);
  assert_int_equal(resolve("linear", 0.1, NAN, 1).W, 0); /* a share leaves a step after it */
  assert_int_equal(resolve("linear", 0.9, NAN, 5).W, 4);
  assert_int_equal(resolve("linear", 10.7, NAN, 400).W, 10);
}

static void floors_depend_on_where_the_weights_come_from(void **state) {
  (void)state;
  plm_schedule schedule;
  plm_schedule_request request = {.peak = 1, .warmup = 0, .min_lr_ratio = NAN, .from_scratch = true, .T = 100};
  assert_ok(plm_schedule_resolve(&request, &schedule));
  assert_string_equal(plm_schedule_name(&schedule), "esm2");
  assert_rate(&schedule, 95, 0.1);
  request.from_scratch = false;
  assert_ok(plm_schedule_resolve(&request, &schedule));
  assert_string_equal(plm_schedule_name(&schedule), "linear");
  assert_rate(&schedule, 100, 0.1);
  schedule = resolve("linear", 0, NAN, 100);
  assert_rate(&schedule, 100, 0);
}

static void a_warmup_without_an_after_is_refused(void **state) {
  (void)state;
  plm_schedule schedule;
  plm_schedule_request request = {.name = "linear", .peak = 1, .warmup = 100, .min_lr_ratio = NAN, .T = 100};
  assert_fails(plm_schedule_resolve(&request, &schedule), PLM_E_USAGE, "--warmup-steps 100");
  request.name = "esm2";
  request.warmup = 90;
  assert_fails(plm_schedule_resolve(&request, &schedule), PLM_E_USAGE, "esm2");
  request.warmup = 89;
  assert_ok(plm_schedule_resolve(&request, &schedule));
  request.name = "constant";
  request.warmup = 1000;
  assert_ok(plm_schedule_resolve(&request, &schedule));
}

static void the_demo_runs_and_its_highest_rate_is_known(void **state) {
  (void)state;
  plm_schedule schedule;
  plm_schedule_request request = {
      .name = "cosine_max",
      .peak = 3e-4,
      .warmup = 1000,
      .min_lr_ratio = NAN,
      .warmup_from_zero = true,
      .T = 258,
  };
  assert_ok(plm_schedule_resolve(&request, &schedule));
  assert_rate(&schedule, 0, 0);
  assert_rate(&schedule, 257, 3e-4 * 0.257);
  assert_true(fabs(plm_schedule_highest(&schedule) - 3e-4 * 0.257) < 1e-15);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_schedule_is_its_formula),
      cmocka_unit_test(the_first_update_is_never_wasted),
      cmocka_unit_test(warmup_defaults_to_eight_percent),
      cmocka_unit_test(a_warmup_below_one_is_a_share),
      cmocka_unit_test(a_share_is_rounded_up_as_in_transformers),
      cmocka_unit_test(floors_depend_on_where_the_weights_come_from),
      cmocka_unit_test(a_warmup_without_an_after_is_refused),
      cmocka_unit_test(the_demo_runs_and_its_highest_rate_is_known),
  };
  return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
