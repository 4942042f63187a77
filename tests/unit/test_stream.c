/* Golden test of the stream: which sequences, crops and masks a seed gives.
 *
 * The constants below are a promise to users. A run that is resumed with a newer protlm must get the very batches that
 * the older one would have given, so code that changes these numbers breaks every run in progress. If the stream must
 * change, it gets a new stream_version, and this one stays implemented and tested.
 */
#include "support/unit.h"

#include <stdio.h>

#include "base/hash.h"
#include "data/loader.h"
#include "support/scratch.h"
#include "support/sequences.h"

enum { SEQUENCES = 3000, FIRST = 1000, MAX_LENGTH = 128 };

typedef struct stream_hashes {
  char ids[33], crops[33], tokens[33], labels[33];
} stream_hashes;

static plm_loader_options options_of(bool evaluation) {
  plm_loader_options options = {
      .sampler = {.seed = 20240229, .batch_tokens = 4096, .max_length = MAX_LENGTH, .alphabet = plm_alphabet_esm2()},
      .packer =
          {
              .alphabet = plm_alphabet_esm2(),
              .masked = true,
              .seed = 20240229,
              .evaluation = evaluation,
              .max_length = MAX_LENGTH,
              .micro_batch_tokens = 4096,
          },
      .ranks = 1,
  };
  plm_mask_options_defaults(&options.packer.mask);
  return options;
}

/* The first 1,000 sequences of the stream from `step` on, in the epoch's order. */
static stream_hashes hash_stream(const plm_view *view, const plm_loader_options *options, int64_t step) {
  stream_hashes result;
  plm_hasher *hashers[4];
  plm_packed *packed = NULL;
  for (size_t i = 0; i < 4; i++) assert_ok(plm_hasher_create(&hashers[i]));
  assert_ok(plm_packed_create(&packed));
  for (int64_t left = FIRST; left > 0; step++) {
    assert_ok(plm_loader_inspect(view, options, step, packed, NULL));
    const plm_tokens *t = &packed->batch.encoder;
    size_t sequences = (size_t)(t->S < left ? t->S : left), tokens = (size_t)t->cu_seqlens[sequences];
    plm_hasher_update(hashers[0], t->sequence_id, sequences * sizeof *t->sequence_id);
    plm_hasher_update(hashers[1], t->crop_offset, sequences * sizeof *t->crop_offset);
    plm_hasher_update(hashers[2], t->tokens, tokens * sizeof *t->tokens);
    plm_hasher_update(hashers[3], packed->labels, tokens * sizeof *packed->labels);
    left -= (int64_t)sequences;
  }
  char *hex[] = {result.ids, result.crops, result.tokens, result.labels};
  for (size_t i = 0; i < 4; i++) {
    plm_hasher_hex(hashers[i], hex[i]);
    plm_hasher_destroy(hashers[i]);
  }
  plm_packed_destroy(packed);
  return result;
}

static void assert_stream(bool evaluation, int64_t step, const stream_hashes *expected) {
  plm_dataset *dataset = open_made_up(60, SEQUENCES, 1, 400);
  plm_view view;
  plm_view_all(dataset, &view);
  plm_loader_options options = options_of(evaluation);
  stream_hashes got = hash_stream(&view, &options, step);
  plm_dataset_close(dataset);
  assert_string_equal(got.ids, expected->ids);
  assert_string_equal(got.crops, expected->crops);
  assert_string_equal(got.tokens, expected->tokens);
  assert_string_equal(got.labels, expected->labels);
}

static void stream_version_1_starts_as_it_always_has(void **state) {
  (void)state;
  assert_int_equal(PLM_STREAM_VERSION, 1);
  assert_stream(false, 0,
                &(stream_hashes){"bc0d2f61b4747f2e5dc3afbdba4b66bd", "d9c61f1da40a57d8ed615a9d5cd4be6f",
                                 "b23955cbd262c4b2cf6cab8e5798f383", "e0cb4267ddcd369c4a29abec96df71dc"});
}

static void stream_version_1_goes_on_as_it_always_has(void **state) {
  (void)state;
  assert_stream(false, 1000,
                &(stream_hashes){"3559f8115aa6db6790da75849f9fd47e", "7a768b42b057390573fd66d29b15795d",
                                 "f09dae5bfaaf6e84ab02dc90f27260a4", "44e01e3e6371d34755c1fc86f6519832"});
}

static void evaluation_masks_are_as_they_always_were(void **state) {
  (void)state;
  assert_stream(true, 0,
                &(stream_hashes){"bc0d2f61b4747f2e5dc3afbdba4b66bd", "c36c221a3cb7792dd4329e3fc70bb680",
                                 "15e5880ad9a735a8626b640e0148be5f", "a66fc1ebf76ef998ccb2da2346766fb0"});
}

static void the_split_is_as_it_always_was(void **state) {
  (void)state;
  plm_view train, eval;
  plm_hasher *hasher = NULL;
  char hex[33];
  plm_dataset *dataset = open_made_up(60, SEQUENCES, 1, 400);
  assert_ok(plm_dataset_split(dataset, 0.05, 20240229, &train, &eval));
  assert_ok(plm_hasher_create(&hasher));
  plm_hasher_update(hasher, eval.ids, (size_t)eval.count * sizeof *eval.ids);
  plm_hasher_hex(hasher, hex);
  plm_hasher_destroy(hasher);
  plm_view_free(&train);
  plm_view_free(&eval);
  plm_dataset_close(dataset);
  assert_string_equal(hex, "384728c2561f3180575d7af665fb1c90");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stream_version_1_starts_as_it_always_has),
      cmocka_unit_test(stream_version_1_goes_on_as_it_always_has),
      cmocka_unit_test(evaluation_masks_are_as_they_always_were),
      cmocka_unit_test(the_split_is_as_it_always_was),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
