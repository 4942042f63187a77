/* Philox is as published, and a number depends on everything it is keyed by. */
#include "support/unit.h"

#include <math.h>

#include "base/rng.h"

/* Known-answer vectors of Random123 (kat_vectors, philox4x32 10 rounds). */
static void philox_matches_published_vectors(void **state) {
  (void)state;
  const struct {
    uint32_t counter[4], key[2], expected[4];
  } vectors[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    plm_rng_block got = plm_philox(vectors[i].key, vectors[i].counter);
    assert_memory_equal(got.word, vectors[i].expected, sizeof got.word);
  }
}

static void every_key_part_changes_the_number(void **state) {
  (void)state;
  uint32_t base = plm_rng(7, PLM_RNG_MASK, 1, 2, 3).word[0];
  assert_int_not_equal(base, plm_rng(8, PLM_RNG_MASK, 1, 2, 3).word[0]);
  assert_int_not_equal(base, plm_rng(7, PLM_RNG_CROP, 1, 2, 3).word[0]);
  assert_int_not_equal(base, plm_rng(7, PLM_RNG_MASK, 1ull << 32 | 1, 2, 3).word[0]);
  assert_int_not_equal(base, plm_rng(7, PLM_RNG_MASK, 1, 3, 3).word[0]);
  assert_int_not_equal(base, plm_rng(7, PLM_RNG_MASK, 1, 2, 4).word[0]);
}

static void normals_have_mean_0_and_variance_1(void **state) {
  (void)state;
  double sum = 0, squares = 0;
  enum { BLOCKS = 20000 };
  for (uint64_t i = 0; i < BLOCKS; i++) {
    plm_rng_block b = plm_rng(1, PLM_RNG_INIT, i, 0, 0);
    double z[2];
    plm_rng_normal(b.word[0], b.word[1], z);
    sum += z[0] + z[1];
    squares += z[0] * z[0] + z[1] * z[1];
  }
  assert_true(fabs(sum / (2 * BLOCKS)) < 0.02);
  assert_true(fabs(squares / (2 * BLOCKS) - 1) < 0.03);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(philox_matches_published_vectors),
      cmocka_unit_test(every_key_part_changes_the_number),
      cmocka_unit_test(normals_have_mean_0_and_variance_1),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
