/* "<mask>" written into a sequence: one mask token for who asks for it, never a residue, and nothing of it in a cache. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/packer.h"
#include "support/scratch.h"
#include "support/sequences.h"

/* Opens what was written to `name`, keeping masks; `invalid`: of other characters. */
static plm_status open_masks(const char *name, plm_invalid invalid, plm_dataset **ret_dataset) {
  const char *path = scratch_path(name);
  plm_dataset_options options = options_for(&path);
  options.policy = (plm_alphabet_policy){.invalid = invalid, .masks = true};
  return plm_dataset_open(&options, ret_dataset);
}

static void assert_residues(const plm_dataset *dataset, int64_t id, const char *expected, int64_t count) {
  int64_t length;
  const char *residues = plm_dataset_residues(dataset, id, &length);
  assert_int_equal(length, count);
  assert_memory_equal(residues, expected, (size_t)count);
}

static void a_mask_is_one_residue(void **state) {
  plm_dataset *dataset = NULL;
  (void)state;
  scratch_write_text("one.fasta", ">a\nMK<mask>TAY\n>b\n<mask><mask>\n>c\nMKV<ma\n sk>L<MASK>*\n>d\nMKVLAG\n");
  assert_ok(open_masks("one.fasta", PLM_INVALID_ERROR, &dataset));
  assert_int_equal(plm_dataset_count(dataset), 4);
  assert_residues(dataset, 0, "MK\0TAY", 6);
  assert_residues(dataset, 1, "\0\0", 2);
  assert_residues(dataset, 2, "MKV\0L\0", 6);
  assert_residues(dataset, 3, "MKVLAG", 6);
  assert_int_equal(plm_dataset_get_info(dataset)->notes.kinds[PLM_NOTE_MASK_TOKENS].count, 5);
  assert_false(plm_dataset_get_info(dataset)->from_cache);
  plm_dataset_close(dataset);
}

static void the_packer_puts_the_mask_token_there(void **state) {
  static const int32_t expected[] = {0, 20, 32, 15, 2}; /* <cls> M <mask> K <eos> */
  const plm_packer_options packer = {.alphabet = plm_alphabet_esm2(), .policy.masks = true};
  plm_dataset *dataset = NULL;
  plm_packed *packed;
  int64_t id = 0;
  (void)state;
  scratch_write_text("packed.fasta", ">a\nM<mask>K\n");
  assert_ok(open_masks("packed.fasta", PLM_INVALID_ERROR, &dataset));
  assert_ok(plm_packed_create(&packed));
  assert_ok(plm_pack(dataset, &packer, 0, &id, 1, packed));
  assert_int_equal(packed->batch.encoder.N, 5);
  assert_memory_equal(packed->batch.encoder.tokens, expected, sizeof expected);
  const plm_packer_options ordinary = {.alphabet = plm_alphabet_esm2()};
  assert_int_equal(plm_pack(dataset, &ordinary, 0, &id, 1, packed), PLM_E_INPUT);
  plm_packed_destroy(packed);
  plm_dataset_close(dataset);
}

/* Text comes in blocks, which end anywhere. */
static void masks_are_found_wherever_a_block_ends(void **state) {
  enum { MASKS = 500000 };
  char *text = malloc(8 * MASKS + 16), *p = text;
  plm_dataset *dataset = NULL;
  (void)state;
  assert_non_null(text);
  p += sprintf(p, ">a\n");
  for (int i = 0; i < MASKS; i++) p += sprintf(p, "<mask>%s", i % 3 == 0 ? "A" : "");
  scratch_write("blocks.fasta", text, (size_t)(p - text));
  free(text);
  assert_ok(open_masks("blocks.fasta", PLM_INVALID_ERROR, &dataset));
  assert_int_equal(plm_dataset_get_info(dataset)->histogram[PLM_MASK_LETTER], MASKS);
  assert_int_equal(plm_dataset_get_info(dataset)->residues, MASKS + (MASKS + 2) / 3);
  plm_dataset_close(dataset);
}

static void what_only_begins_like_a_mask_is_judged_as_ever(void **state) {
  static const char *const texts[] = {">a\nMK<masT\n", ">a\nMK<\n", ">a\nMK<mask\n>b\nMK\n", ">a\nMK<<mask>\n"};
  plm_dataset *dataset = NULL;
  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    scratch_write_text("begun.fasta", texts[i]);
    assert_int_equal(open_masks("begun.fasta", PLM_INVALID_ERROR, &dataset), PLM_E_INPUT);
    if (strstr(plm_error_message(), "'<'") == NULL) fail_msg("%s: %s", texts[i], plm_error_message());
  }
  scratch_write_text("begun.fasta", ">a\nMK<mas\n>b\nMK<mask>\n>c\n<MK<mask>\n");
  assert_ok(open_masks("begun.fasta", PLM_INVALID_SKIP, &dataset));
  assert_int_equal(plm_dataset_count(dataset), 1);
  assert_residues(dataset, 0, "MK\0", 3);
  plm_dataset_close(dataset);
  assert_ok(open_masks("begun.fasta", PLM_INVALID_X, &dataset));
  assert_residues(dataset, 0, "MK<mas", 6);
  assert_residues(dataset, 2, "<MK\0", 4);
  plm_dataset_close(dataset);
}

/* A file with masks leaves nothing behind; one without is cached, and the cache serves either way of reading. */
static void masks_are_never_cached(void **state) {
  const char *path;
  plm_dataset *dataset = NULL;
  (void)state;
  scratch_write_text("cached.fasta", ">a\nMK<mask>T\n");
  for (int i = 0; i < 2; i++) {
    assert_ok(open_masks("cached.fasta", PLM_INVALID_ERROR, &dataset));
    assert_false(plm_dataset_get_info(dataset)->from_cache);
    plm_dataset_close(dataset);
  }
  path = scratch_path("cached.fasta");
  plm_dataset_options ordinary = options_for(&path);
  assert_int_equal(plm_dataset_open(&ordinary, &dataset), PLM_E_INPUT);
  scratch_write_text("plain.fasta", ">a\nMKT\n");
  assert_ok(open_masks("plain.fasta", PLM_INVALID_ERROR, &dataset));
  plm_dataset_close(dataset);
  path = scratch_path("plain.fasta");
  ordinary = options_for(&path);
  assert_ok(plm_dataset_open(&ordinary, &dataset));
  assert_true(plm_dataset_get_info(dataset)->from_cache);
  plm_dataset_close(dataset);
  assert_ok(open_masks("plain.fasta", PLM_INVALID_ERROR, &dataset));
  assert_true(plm_dataset_get_info(dataset)->from_cache);
  plm_dataset_close(dataset);
}

/* A cache in which <mask> was read as X answers no question about masks, and stays good for what it was made for. */
static void a_cache_with_x_for_masks_is_not_asked(void **state) {
  plm_dataset *dataset = NULL;
  (void)state;
  scratch_write_text("as_x.fasta", ">a\nMK<mask>T\n");
  const char *path = scratch_path("as_x.fasta");
  plm_dataset_options as_x = options_for(&path);
  as_x.policy.invalid = PLM_INVALID_X;
  assert_ok(plm_dataset_open(&as_x, &dataset));
  plm_dataset_close(dataset);
  assert_ok(open_masks("as_x.fasta", PLM_INVALID_X, &dataset));
  assert_residues(dataset, 0, "MK\0T", 4);
  plm_dataset_close(dataset);
  assert_ok(plm_dataset_open(&as_x, &dataset));
  assert_true(plm_dataset_get_info(dataset)->from_cache);
  assert_int_equal(plm_dataset_get_info(dataset)->histogram[PLM_MASK_LETTER], 0);
  plm_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_mask_is_one_residue),
      cmocka_unit_test(the_packer_puts_the_mask_token_there),
      cmocka_unit_test(masks_are_found_wherever_a_block_ends),
      cmocka_unit_test(what_only_begins_like_a_mask_is_judged_as_ever),
      cmocka_unit_test(masks_are_never_cached),
      cmocka_unit_test(a_cache_with_x_for_masks_is_not_asked),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
