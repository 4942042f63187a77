/* An evaluation's sums: the same bytes in any order and division, and what becomes of values that are no numbers. */
#include "support/unit.h"

#include <math.h>

#include "base/rng.h"
#include "train/evaluate_totals.h"

enum { SEQUENCES = 400 };

static void make_up(int sequence, double sums[PLM_SUMS]) {
  for (int i = 0; i < PLM_SUMS; i++) {
    const plm_rng_block random = plm_rng(5, PLM_RNG_INIT, (uint64_t)sequence, (uint32_t)i, 0);
    sums[i] = ldexp(1 + random.word[0] / 0x1p32, (int)(random.word[1] % 24) - 8);
  }
  sums[PLM_SUM_COUNT_MASKED] = sequence % 3; /* some have none */
  sums[PLM_SUM_GAIN_MASKED] = sums[PLM_SUM_FREQUENCY_MASKED] - sums[PLM_SUM_NLL_MASKED];
}

static void add_sequence(plm_exact_totals *totals, int sequence) {
  double sums[PLM_SUMS];
  make_up(sequence, sums);
  plm_exact_totals_add(totals, sums);
}

static void the_order_of_sequences_does_not_matter(void **state) {
  (void)state;
  plm_exact_totals there = {0}, back = {0};
  for (int s = 0; s < SEQUENCES; s++) add_sequence(&there, s);
  for (int s = SEQUENCES - 1; s >= 0; s--) add_sequence(&back, s);
  assert_memory_equal(&there, &back, sizeof there);
}

static void near(double a, double b) {
  if (!(fabs(a - b) <= 1e-9 * (1 + fabs(b)))) fail_msg("%.17g is not %.17g", a, b);
}

static void values_are_the_sums_and_products(void **state) {
  (void)state;
  plm_exact_totals exact = {0};
  plm_totals totals, plain = {.sum = {0}};
  for (int s = 0; s < SEQUENCES; s++) {
    double sums[PLM_SUMS];
    make_up(s, sums);
    plm_exact_totals_add(&exact, sums);
    for (int i = 0; i < PLM_SUMS; i++) {
      plain.sum[i] += sums[i];
      plain.clusters[i] += sums[i] > 0;
      for (int j = 0; j < PLM_SUMS; j++) plain.product[i][j] += sums[i] * sums[j];
    }
  }
  plm_exact_totals_values(&exact, &totals);
  for (int i = 0; i < PLM_SUMS; i++) {
    near(totals.sum[i], plain.sum[i]);
    assert_true(totals.clusters[i] == plain.clusters[i]);
    for (int j = 0; j < PLM_SUMS; j++) near(totals.product[i][j], plain.product[i][j]);
  }
  assert_true(totals.clusters[PLM_SUM_COUNT] == SEQUENCES);
  assert_true(totals.clusters[PLM_SUM_COUNT_MASKED] == SEQUENCES - (SEQUENCES + 2) / 3);
}

/* The loss of a set in which sequences have these sums of losses, and its error. */
static void losses(const double *nll, int count, double *ret_loss, double *ret_error) {
  plm_exact_totals exact = {0};
  plm_totals totals;
  for (int s = 0; s < count; s++) {
    const double sums[PLM_SUMS] = {[PLM_SUM_COUNT] = 10, [PLM_SUM_NLL] = nll[s]};
    plm_exact_totals_add(&exact, sums);
  }
  plm_exact_totals_values(&exact, &totals);
  assert_true(totals.sum[PLM_SUM_COUNT] == 10 * count); /* which the others do not touch */
  *ret_loss = plm_total_mean(&totals, PLM_SUM_NLL, PLM_SUM_COUNT);
  *ret_error = plm_total_error(&totals, PLM_SUM_NLL, PLM_SUM_COUNT);
}

static void what_is_no_number_is_what_doubles_would_make_of_it(void **state) {
  (void)state;
  const double nan = (double)NAN, infinity = (double)INFINITY;
  const struct {
    double nll[3], loss;
  } cases[] = {
      {{20, nan, 30}, nan},
      {{20, infinity, 30}, infinity},
      {{-infinity, 20, 30}, -infinity},
      {{infinity, 20, -infinity}, nan},
      {{1e300, 20, 30}, infinity}, /* too large to add, though a double holds it */
      {{nan, infinity, 30}, nan},
  };
  double loss, error;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    losses(cases[i].nll, 3, &loss, &error);
    assert_true(isnan(cases[i].loss) ? isnan(loss) : loss == cases[i].loss);
    assert_true(isnan(error));
  }
  losses((const double[]){20, 25, 30}, 3, &loss, &error);
  assert_true(loss == 2.5 && fabs(error - sqrt(50 * 1.5) / 30) < 1e-12);
}

/* Sums of up to 2^30 have squares that can be added; beyond, the loss is known and its error is not. */
static void the_error_is_none_where_squares_are_too_large(void **state) {
  (void)state;
  double loss, error;
  losses((const double[]){0x1p29, 0x1p29 + 30, 0x1p29 - 30}, 3, &loss, &error);
  assert_true(loss == 0x1p29 / 10 && isfinite(error));
  losses((const double[]){0x1p31, 0x1p31 + 30, 0x1p31 - 30}, 3, &loss, &error);
  assert_true(loss == 0x1p31 / 10 && isnan(error));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_order_of_sequences_does_not_matter),
      cmocka_unit_test(values_are_the_sums_and_products),
      cmocka_unit_test(what_is_no_number_is_what_doubles_would_make_of_it),
      cmocka_unit_test(the_error_is_none_where_squares_are_too_large),
  };
  return cmocka_run_group_tests_name("evaluate_totals", tests, NULL, NULL);
}
