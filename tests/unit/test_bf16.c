/* Rounding to bf16 is to nearest even in one step, from fp32 and from fp64, and NaN stays NaN. */
#include "support/unit.h"

#include <math.h>

#include "base/rng.h"
#include "kernels/bf16.h"

static void every_bf16_survives_a_round_trip(void **state) {
  (void)state;
  for (uint32_t bits = 0; bits <= 0xffff; bits++) {
    float value = plm_bf16_to_float((plm_bf16)bits);
    if (isnan(value)) continue;
    assert_int_equal(plm_bf16_from_float(value), bits);
    assert_int_equal(plm_bf16_from_double((double)value), bits);
  }
}

static void ties_go_to_the_even_neighbour(void **state) {
  (void)state;
  assert_int_equal(plm_bf16_from_float(1 + 0x1p-8f), 0x3f80); /* between 1 and 1 + 2^-7: down to 1 */
  assert_int_equal(plm_bf16_from_float(1 + 0x3p-8f), 0x3f82); /* between the next two: up */
  assert_int_equal(plm_bf16_from_float(1 + 0x1p-8f + 0x1p-23f), 0x3f81);
  assert_int_equal(plm_bf16_from_float(-1 - 0x1p-8f), 0xbf80);
}

/* Just above a tie, by less than fp32 can hold: rounding to fp32 first would make it a tie, and then go down. */
static void doubles_are_rounded_once(void **state) {
  (void)state;
  assert_int_equal(plm_bf16_from_double(1 + 0x1p-8 + 0x1p-40), 0x3f81);
  assert_int_equal(plm_bf16_from_double(1 + 0x3p-8 - 0x1p-40), 0x3f81);
  assert_int_equal(plm_bf16_from_double(-1 - 0x1p-8 - 0x1p-40), 0xbf81);
  assert_int_equal(plm_bf16_from_double(0x1.8p-134 + 0x1p-180), 0x0001); /* above half of the smallest subnormal */
  assert_int_equal(plm_bf16_from_double(0x1p-134), 0x0000);
}

static void the_largest_values_become_infinite_as_they_should(void **state) {
  (void)state;
  assert_int_equal(plm_bf16_from_float(0x1.fep127f), 0x7f7f);
  assert_int_equal(plm_bf16_from_float(0x1.ffp127f), 0x7f80);
  assert_int_equal(plm_bf16_from_double(0x1.fefffffffp127), 0x7f7f);
  assert_int_equal(plm_bf16_from_double(1e300), 0x7f80);
  assert_int_equal(plm_bf16_from_double(-INFINITY), 0xff80);
}

static void nan_stays_nan(void **state) {
  (void)state;
  for (uint32_t payload = 1; payload < 1u << 23; payload = payload * 3 + 1) {
    assert_true(isnan(plm_bf16_to_float(plm_bf16_from_float(plm_float_from_bits(0x7f800000u | payload)))));
    assert_true(isnan(plm_bf16_to_float(plm_bf16_from_float(plm_float_from_bits(0xff800000u | payload)))));
  }
  assert_true(isnan(plm_bf16_to_float(plm_bf16_from_double(NAN))));
}

/* No bf16 lies nearer than the one chosen. */
static void random_doubles_go_to_the_nearest(void **state) {
  (void)state;
  for (uint64_t i = 0; i < 20000; i++) {
    plm_rng_block r = plm_rng(1, PLM_RNG_INIT, i, 0, 0);
    double value = ldexp(1 + plm_rng_unit(r.word[0]) + plm_rng_unit(r.word[1]) * 0x1p-32, (int)(r.word[2] % 200) - 100);
    plm_bf16 chosen = plm_bf16_from_double(value);
    double error = fabs((double)plm_bf16_to_float(chosen) - value);
    assert_true(error <= fabs((double)plm_bf16_to_float((plm_bf16)(chosen + 1)) - value));
    assert_true(error <= fabs((double)plm_bf16_to_float((plm_bf16)(chosen - 1)) - value));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_bf16_survives_a_round_trip),
      cmocka_unit_test(ties_go_to_the_even_neighbour),
      cmocka_unit_test(doubles_are_rounded_once),
      cmocka_unit_test(the_largest_values_become_infinite_as_they_should),
      cmocka_unit_test(nan_stays_nan),
      cmocka_unit_test(random_doubles_go_to_the_nearest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
