/* Masks and crops are drawn at the promised rates, depend only on their key, and never leave a sequence without work or
 * without help. */
#include "support/unit.h"

#include <math.h>

#include "data/masking.h"

enum { LONG = 200000 };
static int32_t tokens[LONG], labels[LONG], original[LONG];

static void fill(int64_t n) {
  for (int64_t i = 0; i < n; i++) original[i] = tokens[i] = (int32_t)(4 + i * 7 % 20);
}

static int64_t mask(const plm_mask_options *options, plm_mask_key key, int64_t n) {
  fill(n);
  return plm_mask_tokens(plm_alphabet_esm2(), options, &key, 0, n, tokens, labels);
}

static plm_mask_options defaults(void) {
  plm_mask_options options;
  plm_mask_options_defaults(&options);
  return options;
}

/* |share - expected| within five standard deviations of a binomial. */
static void assert_share(int64_t part, int64_t whole, double expected) {
  double share = (double)part / (double)whole, deviation = sqrt(expected * (1 - expected) / (double)whole);
  if (fabs(share - expected) > 5 * deviation)
    fail_msg("%lld of %lld is %.5f, expected %.5f", (long long)part, (long long)whole, share, expected);
}

static void fifteen_percent_selected_of_them_80_10_10(void **state) {
  (void)state;
  plm_mask_options options = defaults();
  int64_t selected = mask(&options, (plm_mask_key){.seed = 1}, LONG), masked = 0, kept = 0, random = 0, labelled = 0;
  for (int64_t i = 0; i < LONG; i++) {
    if (labels[i] < 0) {
      assert_int_equal(labels[i], -100);
      assert_int_equal(tokens[i], original[i]);
      continue;
    }
    labelled++;
    assert_int_equal(labels[i], original[i]);
    if (tokens[i] == 32)
      masked++;
    else if (tokens[i] == original[i])
      kept++;
    else
      random++;
  }
  assert_int_equal(labelled, selected);
  assert_share(selected, LONG, 0.15);
  assert_share(masked, selected, 0.8);
  assert_share(random, selected, 0.1);
  assert_share(kept, selected, 0.1);
}

/* All random, so every outcome can be counted. */
static void random_tokens_are_uniform_over_what_was_asked(void **state) {
  (void)state;
  const struct {
    plm_random_tokens random;
    int low, high;
    bool may_equal;
  } kinds[] = {{PLM_RANDOM_AA_OTHER, 4, 23, false}, {PLM_RANDOM_AA, 4, 23, true}, {PLM_RANDOM_VOCAB, 0, 32, true}};
  for (size_t k = 0; k < 3; k++) {
    plm_mask_options options = {.probability = 0.5, .random_share = 1, .random = kinds[k].random};
    int64_t selected = mask(&options, (plm_mask_key){.seed = 2}, LONG), count[33] = {0}, same = 0;
    for (int64_t i = 0; i < LONG; i++) {
      if (labels[i] < 0) continue;
      assert_in_range(tokens[i], kinds[k].low, kinds[k].high);
      count[tokens[i]]++;
      same += tokens[i] == original[i];
    }
    int choices = kinds[k].high - kinds[k].low + 1;
    for (int id = kinds[k].low; id <= kinds[k].high; id++) assert_share(count[id], selected, 1.0 / choices);
    if (kinds[k].may_equal)
      assert_share(same, selected, 1.0 / choices);
    else
      assert_int_equal(same, 0);
  }
}

static void only_standard_amino_acids_are_selected_unless_asked(void **state) {
  (void)state;
  plm_mask_options options = {.probability = 0.999, .mask_share = 1};
  for (int nonstandard = 0; nonstandard < 2; nonstandard++) {
    options.nonstandard = nonstandard;
    for (int32_t id = 0; id < 33; id++) {
      int32_t token[4] = {id, id, id, id}, label[4];
      int64_t selected = plm_mask_tokens(plm_alphabet_esm2(), &options, &(plm_mask_key){.seed = 3}, 0, 4, token, label);
      bool eligible = (id >= 4 && id <= 23) || (nonstandard && id >= 24 && id <= 30);
      assert_int_equal(selected > 0, eligible);
    }
  }
}

static void short_sequences_have_one_masked_and_one_not(void **state) {
  (void)state;
  for (double p = 0.001; p < 1; p += 0.499) {
    plm_mask_options options = {.probability = p, .mask_share = 1};
    for (uint64_t id = 0; id < 2000; id++)
      for (int64_t n = 1; n <= 4; n++) {
        int64_t selected = mask(&options, (plm_mask_key){.seed = 4, .identity = id}, n);
        assert_in_range(selected, 1, n > 1 ? n - 1 : 1);
        for (int64_t i = 0; i < n; i++) assert_int_equal(tokens[i] == 32, labels[i] >= 0);
      }
  }
  int32_t nothing[2] = {0, 2}, label[2];
  plm_mask_options options = defaults();
  assert_int_equal(plm_mask_tokens(plm_alphabet_esm2(), &options, &(plm_mask_key){0}, 0, 2, nothing, label), 0);
}

/* The same position gets the same number whatever window it is seen through. */
static void masks_belong_to_positions_of_the_uncropped_sequence(void **state) {
  (void)state;
  static int32_t whole[1000];
  plm_mask_options options = defaults();
  mask(&options, (plm_mask_key){.seed = 5, .identity = 77, .draw = 3}, 1000);
  memcpy(whole, tokens, sizeof whole);
  fill(1000);
  plm_mask_tokens(plm_alphabet_esm2(), &options, &(plm_mask_key){.seed = 5, .identity = 77, .draw = 3}, 300, 400,
                  tokens + 300, labels + 300);
  assert_memory_equal(tokens + 300, whole + 300, 400 * sizeof *tokens);
}

static void every_part_of_the_key_changes_the_mask(void **state) {
  (void)state;
  static int32_t first[1000];
  plm_mask_options options = defaults();
  const plm_mask_key keys[] = {{.seed = 6, .identity = 1, .draw = 0},
                               {.seed = 7, .identity = 1, .draw = 0},
                               {.seed = 6, .identity = 2, .draw = 0},
                               {.seed = 6, .identity = 1, .draw = 1},
                               {.seed = 6, .identity = 1, .draw = 0, .evaluation = true}};
  mask(&options, keys[0], 1000);
  memcpy(first, tokens, sizeof first);
  for (size_t k = 1; k < sizeof keys / sizeof *keys; k++) {
    mask(&options, keys[k], 1000);
    assert_memory_not_equal(tokens, first, sizeof first);
  }
}

static void crop_windows_are_uniform_and_include_the_last(void **state) {
  (void)state;
  enum { LENGTH = 110, WINDOW = 100, WINDOWS = 11, DRAWS = 110000 };
  int64_t count[WINDOWS] = {0};
  for (uint64_t id = 0; id < DRAWS; id++) {
    int64_t offset = plm_crop_offset(&(plm_mask_key){.seed = 8, .identity = id}, LENGTH, WINDOW);
    assert_in_range(offset, 0, WINDOWS - 1);
    count[offset]++;
  }
  for (int w = 0; w < WINDOWS; w++) assert_share(count[w], DRAWS, 1.0 / WINDOWS);
}

static void what_fits_is_not_cropped(void **state) {
  (void)state;
  assert_int_equal(plm_crop_offset(&(plm_mask_key){.seed = 9}, 100, 100), 0);
  assert_int_equal(plm_crop_offset(&(plm_mask_key){.seed = 9}, 5, 100), 0);
}

static void evaluation_crops_are_the_same_in_every_draw(void **state) {
  (void)state;
  int64_t differing = 0;
  for (uint64_t hash = 1; hash < 100; hash++) {
    int64_t first =
        plm_crop_offset(&(plm_mask_key){.seed = 10, .evaluation = true, .identity = hash, .draw = 0}, 10000, 100);
    assert_int_equal(
        plm_crop_offset(&(plm_mask_key){.seed = 10, .evaluation = true, .identity = hash, .draw = 5}, 10000, 100),
        first);
    differing += plm_crop_offset(&(plm_mask_key){.seed = 10, .identity = hash, .draw = 0}, 10000, 100) !=
                 plm_crop_offset(&(plm_mask_key){.seed = 10, .identity = hash, .draw = 1}, 10000, 100);
  }
  assert_true(differing > 90);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fifteen_percent_selected_of_them_80_10_10),
      cmocka_unit_test(random_tokens_are_uniform_over_what_was_asked),
      cmocka_unit_test(only_standard_amino_acids_are_selected_unless_asked),
      cmocka_unit_test(short_sequences_have_one_masked_and_one_not),
      cmocka_unit_test(masks_belong_to_positions_of_the_uncropped_sequence),
      cmocka_unit_test(every_part_of_the_key_changes_the_mask),
      cmocka_unit_test(crop_windows_are_uniform_and_include_the_last),
      cmocka_unit_test(what_fits_is_not_cropped),
      cmocka_unit_test(evaluation_crops_are_the_same_in_every_draw),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
