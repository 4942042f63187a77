/* Sums that come out the same in whatever order, on whatever number of ranks. */
#include "support/unit.h"

#include <float.h>
#include <math.h>

#include "base/rng.h"
#include "dist/sum_exact.h"

enum { VALUES = 3000, MOST_RANKS = 5, SUMS = 75 };

static double sum_of(const double *x, int count, int stride, int first) {
  plm_int128 sum = {0};
  for (int i = first; i < count; i += stride) assert_true(plm_int128_add(&sum, x[i]));
  return plm_int128_value(sum);
}

/* From 2^-20 to 2^39, of both signs. */
static double made_up_value(int i) {
  const plm_rng_block random = plm_rng(3, PLM_RNG_INIT, (uint64_t)i, 0, 0);
  const double fraction = 1 + random.word[0] / 0x1p32, sign = random.word[1] % 2 == 0 ? 1 : -1;
  return sign * ldexp(fraction, (int)(random.word[2] % 60) - 20);
}

static void a_value_comes_back(void **state) {
  (void)state;
  const double exact[] = {0,       1,           -1,
                          0.5,     -0x1p-40,    0x1p-40,
                          3.25,    -12345.0625, 0x1p59,
                          -0x1p59, 0x1.8p-39,   8.4e6 * 8.4e6,
                          1e17,    -1e17,       0x1.fffffffffffffp59};
  for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
    plm_int128 sum = {0};
    assert_true(plm_int128_add(&sum, exact[i]));
    assert_true(plm_int128_value(sum) == exact[i]);
  }
}

static void a_fraction_of_the_unit_is_rounded_to_even(void **state) {
  (void)state;
  static const struct {
    double units, rounded;
  } cases[] = {{0.49, 0}, {0.5, 0}, {0.51, 1}, {1.5, 2}, {2.5, 2}, {-0.5, 0}, {-0.51, -1}, {-1.5, -2}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_int128 sum = {0};
    assert_true(plm_int128_add(&sum, cases[i].units * 0x1p-40));
    assert_true(plm_int128_value(sum) == cases[i].rounded * 0x1p-40);
  }
}

static void what_cannot_be_added_is_refused_and_changes_nothing(void **state) {
  (void)state;
  const double refused[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 0x1p60, -0x1p60, DBL_MAX, -DBL_MAX};
  plm_int128 sum = {0};
  assert_true(plm_int128_add(&sum, -7.5));
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) assert_false(plm_int128_add(&sum, refused[i]));
  assert_true(plm_int128_value(sum) == -7.5);
}

static void the_order_does_not_matter(void **state) {
  (void)state;
  double there[VALUES], back[VALUES], plain_there = 0, plain_back = 0;
  for (int i = 0; i < VALUES; i++) there[i] = back[VALUES - 1 - i] = made_up_value(i);
  assert_true(sum_of(there, VALUES, 1, 0) == sum_of(back, VALUES, 1, 0));
  for (int i = 0; i < VALUES; i++) {
    plain_there += there[i];
    plain_back += back[i];
  }
  assert_true(plain_there != plain_back); /* these are values whose order matters to doubles */
}

static void signs_cancel_without_a_rest(void **state) {
  (void)state;
  plm_int128 sum = {0};
  for (int i = 0; i < VALUES; i++) assert_true(plm_int128_add(&sum, made_up_value(i)));
  assert_true(plm_int128_add(&sum, 0x1p-40));
  for (int i = VALUES - 1; i >= 0; i--) assert_true(plm_int128_add(&sum, -made_up_value(i)));
  assert_true(plm_int128_value(sum) == 0x1p-40);
  assert_true(plm_int128_add(&sum, -0x1p-39));
  assert_true(plm_int128_value(sum) == -0x1p-40);
}

/* Squares above 8.4e6 units do not fit 64 bits (2^23 2^40 = 2^63). */
static void squares_that_no_64_bits_hold_are_exact(void **state) {
  (void)state;
  enum { TIMES = 1000000 };
  const double square = 123456.5 * 123456.5;
  plm_int128 sum = {0};
  for (int i = 0; i < TIMES; i++) assert_true(plm_int128_add(&sum, square));
  assert_true(plm_int128_value(sum) == square * TIMES); /* 1e6 * 1.5e10: exact in a double too */
  for (int i = 0; i < TIMES; i++) assert_true(plm_int128_add(&sum, -0x1.fp59));
  assert_true(plm_int128_value(sum) == square * TIMES - 0x1.fp59 * TIMES);
}

/* Whole numbers of units, added as integers of 64 bits beside it. */
static void a_long_sum_is_that_of_integers(void **state) {
  (void)state;
  enum { TIMES = 200000 };
  plm_int128 sum = {0};
  int64_t units = 0;
  for (int i = 0; i < TIMES; i++) {
    const plm_rng_block random = plm_rng(9, PLM_RNG_INIT, (uint64_t)i, 0, 0);
    const int64_t value = (int64_t)random.word[0] * 1000 - (int64_t)random.word[1] * 900;
    units += value;
    assert_true(plm_int128_add(&sum, ldexp((double)value, -40)));
  }
  assert_true(sum.low == (uint64_t)units && sum.high == (units < 0 ? -1 : 0));
}

/* ---- ranks: an exchange that knows what the others have ---- */

typedef struct made_comm {
  plm_comm comm;
  const plm_int128 (*all)[SUMS]; /* [size][SUMS] */
  int done, calls;
  plm_int128 scratch[MOST_RANKS * PLM_AGREE_BYTES / sizeof(plm_int128)];
} made_comm;

static plm_status made_exchange(plm_comm *comm, const char *stage, const void *mine, size_t bytes, void *ret_all) {
  made_comm *made = (made_comm *)comm;
  const int count = (int)(bytes / sizeof(plm_int128));
  assert_string_equal(stage, "sums");
  assert_memory_equal(mine, made->all[comm->rank] + made->done, bytes);
  assert_true(bytes <= PLM_AGREE_BYTES && made->done + count <= SUMS);
  for (int rank = 0; rank < comm->size; rank++)
    memcpy((char *)ret_all + (size_t)rank * bytes, made->all[rank] + made->done, bytes);
  made->done += count;
  made->calls++;
  return PLM_OK;
}

/* SUMS sums over the values, each over other ones, shared by `ranks`. */
static void sum_shares(int ranks, int rank, double ret_sums[SUMS]) {
  static plm_int128 all[MOST_RANKS][SUMS];
  memset(all, 0, sizeof all);
  for (int i = 0; i < VALUES; i++)
    for (int s = 0; s < SUMS; s++) assert_true(plm_int128_add(&all[(i + s) % ranks][s], made_up_value(i) * (s + 1)));
  made_comm made = {.comm = {.rank = rank, .size = ranks, .exchange = made_exchange}, .all = all};
  plm_int128 mine[SUMS];
  memcpy(mine, all[rank], sizeof mine);
  made.comm.scratch = made.scratch;
  assert_ok(plm_sum_exact(&made.comm, "sums", mine, SUMS));
  assert_true(made.done == (ranks > 1 ? SUMS : 0)); /* a process alone asks nobody */
  for (int s = 0; s < SUMS; s++) ret_sums[s] = plm_int128_value(mine[s]);
}

static void any_number_of_ranks_has_the_same_sums(void **state) {
  (void)state;
  double alone[SUMS], shared[SUMS];
  sum_shares(1, 0, alone);
  for (int ranks = 2; ranks <= MOST_RANKS; ranks++)
    for (int rank = 0; rank < ranks; rank++) {
      sum_shares(ranks, rank, shared);
      assert_memory_equal(shared, alone, sizeof alone);
    }
}

static plm_status failing_exchange(plm_comm *comm, const char *stage, const void *mine, size_t bytes, void *ret_all) {
  (void)comm;
  (void)mine;
  (void)bytes;
  (void)ret_all;
  return plm_fail(PLM_E_BUG, "nobody came to %s", stage);
}

static void a_failed_exchange_is_the_sums_failure(void **state) {
  (void)state;
  plm_int128 value = {.low = 5};
  plm_comm comm = {.size = 2, .exchange = failing_exchange};
  assert_fails(plm_sum_exact(&comm, "sums", &value, 1), PLM_E_BUG, "nobody came to sums");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_value_comes_back),
      cmocka_unit_test(a_fraction_of_the_unit_is_rounded_to_even),
      cmocka_unit_test(what_cannot_be_added_is_refused_and_changes_nothing),
      cmocka_unit_test(the_order_does_not_matter),
      cmocka_unit_test(signs_cancel_without_a_rest),
      cmocka_unit_test(squares_that_no_64_bits_hold_are_exact),
      cmocka_unit_test(a_long_sum_is_that_of_integers),
      cmocka_unit_test(any_number_of_ranks_has_the_same_sums),
      cmocka_unit_test(a_failed_exchange_is_the_sums_failure),
  };
  return cmocka_run_group_tests_name("sum_exact", tests, NULL, NULL);
}
