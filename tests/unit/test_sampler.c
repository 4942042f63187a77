/* Every epoch is a permutation cut into batches of about equal size, and any batch can be had at any time. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "data/packer.h"
#include "data/sampler.h"
#include "support/scratch.h"
#include "support/sequences.h"

static void permutation_is_a_bijection(void **state) {
  (void)state;
  const uint64_t large[] = {255, 256, 257, 4095, 4096, 4097, 65537, 300007};
  for (uint64_t k = 1; k <= 200 + sizeof large / sizeof *large; k++) {
    uint64_t n = k <= 200 ? k : large[k - 201];
    unsigned char *seen = calloc(n, 1);
    for (uint64_t i = 0; i < n; i++) {
      uint64_t place = plm_permute(k, 3, n, i);
      assert_true(place < n);
      assert_int_equal(seen[place]++, 0);
    }
    free(seen);
  }
}

static void permutation_of_60_million_stays_inside(void **state) {
  (void)state;
  for (uint64_t i = 0; i < 1000; i++) assert_true(plm_permute(1, 0, 60000000, i * 59999) < 60000000);
}

/* Every place is reached from every index about equally often, over seeds. */
static void permutation_is_fair(void **state) {
  (void)state;
  enum { N = 10, SEEDS = 20000 };
  int count[N][N] = {0};
  for (uint64_t seed = 0; seed < SEEDS; seed++)
    for (uint64_t i = 0; i < N; i++) count[i][plm_permute(seed, 0, N, i)]++;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) assert_in_range(count[i][j], SEEDS / N * 0.88, SEEDS / N * 1.12);
}

typedef struct setting {
  plm_dataset *dataset;
  plm_view view;
  plm_sampler *sampler;
} setting;

static setting begin(plm_dataset *dataset, plm_sampler_options options) {
  setting s = {.dataset = dataset};
  options.alphabet = plm_alphabet_esm2();
  plm_view_all(dataset, &s.view);
  assert_ok(plm_sampler_create(&s.view, &options, &s.sampler));
  return s;
}

static void end(setting *s) {
  plm_sampler_destroy(s->sampler);
  plm_dataset_close(s->dataset);
}

static void every_sequence_comes_exactly_once_an_epoch(void **state) {
  (void)state;
  setting s =
      begin(open_made_up(1, 777, 1, 300), (plm_sampler_options){.seed = 5, .batch_tokens = 2000, .max_length = 200});
  int64_t steps = plm_sampler_steps_per_epoch(s.sampler), previous_first = -1;
  for (int64_t epoch = 0; epoch < 3; epoch++) {
    int seen[777] = {0};
    for (int64_t b = 0; b < steps; b++) {
      const int64_t *ids;
      int64_t count, at;
      assert_ok(plm_sampler_batch(s.sampler, epoch * steps + b, &at, &ids, &count));
      assert_int_equal(at, epoch);
      assert_true(count > 0);
      for (int64_t i = 0; i < count; i++) seen[ids[i]]++;
      if (b == 0) assert_int_not_equal(ids[0], previous_first);
      if (b == 0) previous_first = ids[0];
    }
    for (int i = 0; i < 777; i++) assert_int_equal(seen[i], 1);
  }
  end(&s);
}

static void batches_are_about_equal_and_steps_are_total_over_batch(void **state) {
  (void)state;
  enum { BATCH = 5000, LONGEST = 200 };
  setting s = begin(open_made_up(2, 2000, 20, 300),
                    (plm_sampler_options){.seed = 6, .batch_tokens = BATCH, .max_length = LONGEST});
  int64_t total = 0, steps = plm_sampler_steps_per_epoch(s.sampler);
  for (int64_t id = 0; id < 2000; id++) total += plm_token_length(s.dataset, plm_alphabet_esm2(), id, LONGEST);
  assert_int_equal(plm_sampler_total_tokens(s.sampler), total);
  assert_int_equal(steps, total / BATCH);
  for (int64_t b = 0; b < 2 * steps; b++) {
    const int64_t *ids;
    int64_t count, epoch, tokens = 0;
    assert_ok(plm_sampler_batch(s.sampler, b, &epoch, &ids, &count));
    for (int64_t i = 0; i < count; i++) tokens += plm_token_length(s.dataset, plm_alphabet_esm2(), ids[i], LONGEST);
    assert_in_range(tokens, total / steps - LONGEST, total / steps + LONGEST + 1);
  }
  end(&s);
}

static void batches_of_sequences_differ_by_at_most_one(void **state) {
  (void)state;
  setting s = begin(open_made_up(3, 103, 20, 30), (plm_sampler_options){.seed = 6, .batch_sequences = 10});
  assert_int_equal(plm_sampler_steps_per_epoch(s.sampler), 10);
  for (int64_t b = 0; b < 20; b++) {
    const int64_t *ids;
    int64_t count, epoch;
    assert_ok(plm_sampler_batch(s.sampler, b, &epoch, &ids, &count));
    assert_in_range(count, 10, 11);
  }
  end(&s);
}

static void a_batch_does_not_depend_on_what_was_asked_before(void **state) {
  (void)state;
  setting s =
      begin(open_made_up(1, 777, 1, 300), (plm_sampler_options){.seed = 5, .batch_tokens = 2000, .max_length = 200});
  int64_t steps = plm_sampler_steps_per_epoch(s.sampler), copy[777];
  const int64_t asked[] = {3 * steps + 1, 0, steps, 3 * steps + 1, 2, 3 * steps + 1};
  int64_t first_count = 0;
  for (size_t k = 0; k < sizeof asked / sizeof *asked; k++) {
    const int64_t *ids;
    int64_t count, epoch;
    assert_ok(plm_sampler_batch(s.sampler, asked[k], &epoch, &ids, &count));
    if (k == 0) memcpy(copy, ids, (size_t)(first_count = count) * sizeof *ids);
    if (asked[k] != asked[0]) continue;
    assert_int_equal(count, first_count);
    assert_memory_equal(ids, copy, (size_t)count * sizeof *ids);
  }
  end(&s);
}

static void the_order_is_plm_permute(void **state) {
  (void)state;
  setting s = begin(open_made_up(1, 777, 1, 300), (plm_sampler_options){.seed = 5, .batch_sequences = 777});
  const int64_t *ids;
  int64_t count, epoch;
  assert_ok(plm_sampler_batch(s.sampler, 2, &epoch, &ids, &count));
  for (int64_t i = 0; i < count; i++) assert_int_equal(ids[i], plm_permute(5, 2, 777, (uint64_t)i));
  end(&s);
}

static void views_give_ids_of_the_dataset(void **state) {
  (void)state;
  plm_dataset *dataset = open_made_up(1, 777, 1, 300);
  int64_t ids_of_view[] = {5, 50, 500}, sum = 0;
  plm_view view = {.dataset = dataset, .count = 3, .ids = ids_of_view};
  plm_sampler *sampler = NULL;
  assert_ok(plm_sampler_create(
      &view, &(plm_sampler_options){.seed = 1, .batch_sequences = 1, .alphabet = plm_alphabet_esm2()}, &sampler));
  for (int64_t b = 0; b < 3; b++) {
    const int64_t *ids;
    int64_t count, epoch;
    assert_ok(plm_sampler_batch(sampler, b, &epoch, &ids, &count));
    assert_int_equal(count, 1);
    sum += ids[0];
  }
  assert_int_equal(sum, 555);
  plm_sampler_destroy(sampler);
  plm_dataset_close(dataset);
}

static void a_set_smaller_than_a_batch_is_one_step(void **state) {
  (void)state;
  setting s =
      begin(open_made_up(4, 3, 10, 20), (plm_sampler_options){.seed = 5, .batch_tokens = 100000, .max_length = 200});
  const int64_t *ids;
  int64_t count, epoch;
  assert_int_equal(plm_sampler_steps_per_epoch(s.sampler), 1);
  assert_ok(plm_sampler_batch(s.sampler, 7, &epoch, &ids, &count));
  assert_int_equal(epoch, 7);
  assert_int_equal(count, 3);
  end(&s);
}

static void a_batch_that_cannot_hold_one_sequence_is_refused(void **state) {
  (void)state;
  plm_dataset *dataset = open_made_up(1, 777, 1, 300);
  plm_view view;
  plm_sampler *sampler = NULL;
  plm_view_all(dataset, &view);
  assert_fails(
      plm_sampler_create(
          &view, &(plm_sampler_options){.batch_tokens = 100, .max_length = 200, .alphabet = plm_alphabet_esm2()},
          &sampler),
      PLM_E_USAGE, "cannot hold");
  assert_fails(
      plm_sampler_create(&view, &(plm_sampler_options){.max_length = 200, .alphabet = plm_alphabet_esm2()}, &sampler),
      PLM_E_USAGE, "needs a size");
  assert_null(sampler);
  plm_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(permutation_is_a_bijection),
      cmocka_unit_test(permutation_of_60_million_stays_inside),
      cmocka_unit_test(permutation_is_fair),
      cmocka_unit_test(every_sequence_comes_exactly_once_an_epoch),
      cmocka_unit_test(batches_are_about_equal_and_steps_are_total_over_batch),
      cmocka_unit_test(batches_of_sequences_differ_by_at_most_one),
      cmocka_unit_test(a_batch_does_not_depend_on_what_was_asked_before),
      cmocka_unit_test(the_order_is_plm_permute),
      cmocka_unit_test(views_give_ids_of_the_dataset),
      cmocka_unit_test(a_set_smaller_than_a_batch_is_one_step),
      cmocka_unit_test(a_batch_that_cannot_hold_one_sequence_is_refused),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
